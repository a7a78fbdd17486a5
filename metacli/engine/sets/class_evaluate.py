"""`evaluate` of a learner of sets of classifications: joint against separate adaptation on the same
unseen sets, by number of examples and of tasks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from metacli.algorithms.meta_multitask.protocol import alone, together
from metacli.data.sets.classes import ClassSets
from metacli.engine.events import Progress, Reporter
from metacli.engine.results.sets import ClassArm, ClassCell, SetEvaluation
from metacli.engine.scoring.intervals import over_episodes, paired, verdict
from metacli.engine.sets.class_build import class_source
from metacli.engine.sets.class_folder import load_classes
from metacli.engine.sets.class_model import ClassSetModel
from metacli.engine.sets.class_scoring import ClassScores, class_joined, class_scored
from metacli.errors import UsageProblem

GROUP = 10  # sets at a time


def class_cells(
    model: ClassSetModel,
    shots: Sequence[int],
    sets: int,
    *,
    seed: int = 0,
    tick: Callable[[int], None] = lambda done: None,
) -> tuple[ClassCell, ...]:
    """Every number of examples with the most tasks of a set, then the first with fewer tasks.

    Args:
        sets: rounded up to a whole number of groups.
        tick: told how many cells are done.
    """
    first = source_of(model, shots[0] if shots else None, seed)
    most = first.tasks if isinstance(first.tasks, int) else first.tasks[1]
    least = first.shot if isinstance(first.shot, int) else first.shot[0]
    cells: list[ClassCell] = []
    wanted = [(shot, most) for shot in shots or (least,)]
    wanted += [(wanted[0][0], count) for count in range(2, most)]
    for shot, tasks in wanted:
        cells.append(class_cell(model, source_of(model, shot, seed, tasks), sets))
        tick(len(cells))
    return tuple(cells)


def source_of(
    model: ClassSetModel, shot: int | None, seed: int, tasks: int | None = None
) -> ClassSets:
    """Unseen sets."""
    return class_source(model.recipe, "test", tasks=tasks, shot=shot, seed=seed, group=GROUP)


def class_cell(model: ClassSetModel, source: ClassSets, sets: int) -> ClassCell:
    """One cell: both arms on the same sets."""
    parts: tuple[list[ClassScores], list[ClassScores]] = ([], [])
    for step in range(-(-sets // GROUP)):
        episodes = source.meta_batch_at(step)
        for found, sees in zip(parts, (together, alone), strict=True):
            found.append(class_scored(model.respond(episodes, sees(episodes.roles)), episodes))
    joint, separate = map(class_joined, parts)
    delta, low, high = paired(joint.accuracy - separate.accuracy)
    tasks, way, shot = source.shape_at(0)
    arms = (arm_of(joint), arm_of(separate))
    count = len(joint.accuracy)
    return ClassCell(way, shot, tasks, count, *arms, delta, (low, high), verdict(low, high, count))


def arm_of(scores: ClassScores) -> ClassArm:
    return ClassArm(over_episodes(scores.accuracy), over_episodes(scores.log_likelihood))


def evaluate_class_sets(
    path: Path, *, shot: str | int | None, sets: int, seed: int, dry_run: bool, report: Reporter
) -> SetEvaluation:
    """Joint against separate adaptation on unseen sets of the model's own source.

    Args:
        shot: numbers of examples of each class, `1,5`.
    Raises:
        BundleError, DataError, UsageProblem.
    """
    model = load_classes(path)
    shots = () if shot is None else shots_of(str(shot))

    def tick(done: int) -> None:
        report(Progress("evaluating", done, max(len(shots), done), "cells"))

    cells = () if dry_run else class_cells(model, shots, sets, seed=seed, tick=tick)
    first = cells[0] if cells else None
    recipe = model.recipe
    return SetEvaluation(
        metric="accuracy",
        mean=None if first is None else first.joint.accuracy.mean,
        ci95=None if first is None else first.joint.accuracy.ci95,
        data=recipe.data.source,
        variant=str(recipe.data.options.get("variant", "")),
        split="test",
        episodes=0 if first is None else first.sets,
        episodes_seed=seed,
        train_seed=recipe.seed,
        class_cells=cells,
        dry_run=dry_run or None,
    )


def shots_of(text: str) -> tuple[int, ...]:
    """`1,5`. Raises UsageProblem for anything else."""
    try:
        found = tuple(int(one) for one in text.split(","))
    except ValueError:
        found = (0,)
    if min(found) < 1:
        raise UsageProblem(f"shots are numbers from 1, found {text!r}", hint="--shot 1,5")
    return found
