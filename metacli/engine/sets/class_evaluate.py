"""`evaluate` of a learner of sets of classifications: joint against separate adaptation on the same
unseen sets, by number of examples and of tasks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from metacli.algorithms.meta_multitask.protocol import alone, together
from metacli.engine.events import Progress, Reporter
from metacli.engine.results.sets import ClassArm, ClassCell, SetEvaluation
from metacli.engine.scoring.intervals import over_episodes, paired, verdict
from metacli.engine.sets.class_folder import load_classes
from metacli.engine.sets.class_model import ClassSetModel
from metacli.engine.sets.class_scoring import ClassScores, class_joined, class_scored
from metacli.engine.sets.class_sources import AskedSets, LabelledSets, class_source
from metacli.errors import UsageProblem

GROUP = 10  # sets at a time


def class_cells(
    model: ClassSetModel,
    sizes: Sequence[int],
    sets: int,
    *,
    seed: int = 0,
    tick: Callable[[int], None] = lambda done: None,
) -> tuple[ClassCell, ...]:
    """Every number of examples with the most tasks of a set, then the first with fewer tasks.

    Args:
        sizes: examples of each class, or support rows of a task; () is the recipe's least.
        sets: rounded up to a whole number of groups.
        tick: told how many cells are done.
    """
    wanted: list[int | None] = [*sizes] or [None]
    most = source_of(model, wanted[0], seed, None).shape_at(0)[0]
    pairs = [(size, most) for size in wanted]
    pairs += [(wanted[0], count) for count in range(2, most)]
    cells: list[ClassCell] = []
    for size, tasks in pairs:
        cells.append(class_cell(model, source_of(model, size, seed, tasks), sets))
        tick(len(cells))
    return tuple(cells)


def source_of(model: ClassSetModel, size: int | None, seed: int, tasks: int | None) -> LabelledSets:
    """Unseen sets."""
    asked = AskedSets(tasks=tasks, size=size, seed=seed, group=GROUP)
    return class_source(model.recipe, "test", asked)


def class_cell(model: ClassSetModel, source: LabelledSets, sets: int) -> ClassCell:
    """One cell: both arms on the same sets."""
    parts: tuple[list[ClassScores], list[ClassScores]] = ([], [])
    for step in range(-(-sets // GROUP)):
        episodes = source.meta_batch_at(step)
        for found, sees in zip(parts, (together, alone), strict=True):
            found.append(class_scored(model.respond(episodes, sees(episodes.roles)), episodes))
    joint, separate = map(class_joined, parts)
    metric = model.facts.metric
    differences = joint.of(metric) - separate.of(metric)
    differences = differences[np.isfinite(differences)]  # a set may have nothing to ask
    delta, low, high = paired(differences)
    count = len(differences)
    said = verdict(low, high, count, larger_is_better=metric != "mse")
    tasks, *rest = source.shape_at(0)
    by_class = len(rest) == 2
    return ClassCell(
        way=rest[0] if by_class else None,
        shot=rest[1] if by_class else None,
        points=None if by_class else rest[0],
        tasks=tasks,
        sets=count,
        metric=metric,
        joint=arm_of(joint, metric),
        separate=arm_of(separate, metric),
        delta=delta,
        delta_ci95=(low, high),
        verdict=said,
    )


def arm_of(scores: ClassScores, metric: str) -> ClassArm:
    return ClassArm(
        None if metric == "mse" else over_episodes(scores.accuracy),
        over_episodes(scores.log_likelihood),
        None if metric == "accuracy" else over_episodes(scores.mse),
    )


def evaluate_class_sets(
    path: Path, *, shot: str | int | None, sets: int, seed: int, dry_run: bool, report: Reporter
) -> SetEvaluation:
    """Joint against separate adaptation on unseen sets of the model's own source.

    Args:
        shot: numbers of examples of each class, or of rows of a task: `1,5`.
    Raises:
        BundleError, DataError, UsageProblem.
    """
    model = load_classes(path)
    sizes = () if shot is None else shots_of(str(shot))

    def tick(done: int) -> None:
        report(Progress("evaluating", done, max(len(sizes), done), "cells"))

    cells = () if dry_run else class_cells(model, sizes, sets, seed=seed, tick=tick)
    first, metric = (cells[0] if cells else None), model.facts.metric
    recipe = model.recipe
    return SetEvaluation(
        metric=metric,
        mean=None if first is None else first.joint.of(metric).mean,
        ci95=None if first is None else first.joint.of(metric).ci95,
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
