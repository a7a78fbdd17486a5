"""`evaluate` of a learner of sets of classifications: joint adaptation against the other arms on
the same unseen sets, by number of examples and of tasks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from metacli.engine.events import Progress, Reporter
from metacli.engine.results.sets import ClassArm, ClassCell, ComparedClassArm, SetEvaluation
from metacli.engine.scoring.intervals import Estimate, Verdict, over_episodes, paired, verdict
from metacli.engine.sets.arms.class_answers import ClassArms
from metacli.engine.sets.arms.names import ARMS, JOINT, PRETRAINED, SEPARATE, TRAINED
from metacli.engine.sets.arms.tuned import tuned_beside
from metacli.engine.sets.class_folder import load_classes
from metacli.engine.sets.class_model import ClassSetModel
from metacli.engine.sets.class_scoring import ClassScores, class_joined, class_scored
from metacli.engine.sets.class_sources import AskedSets, LabelledSets, class_source
from metacli.errors import UsageProblem

GROUP = 10  # sets at a time
TRAINED_SETS = 50  # on which arms are measured that are trained for every set


def class_cells(
    arms: ClassArms,
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
    model = arms.model
    wanted: list[int | None] = [*sizes] or [None]
    most = source_of(model, wanted[0], seed, None).shape_at(0)[0]
    pairs = [(size, most) for size in wanted]
    pairs += [(wanted[0], count) for count in range(2, most)]
    cells: list[ClassCell] = []
    for size, tasks in pairs:
        cells.append(class_cell(arms, source_of(model, size, seed, tasks), sets))
        tick(len(cells))
    return tuple(cells)


def source_of(model: ClassSetModel, size: int | None, seed: int, tasks: int | None) -> LabelledSets:
    """Unseen sets."""
    asked = AskedSets(tasks=tasks, size=size, seed=seed, group=GROUP)
    return class_source(model.recipe, "test", asked)


def class_cell(arms: ClassArms, source: LabelledSets, sets: int) -> ClassCell:
    """One cell: every arm on the same sets, those that are trained on the first of them."""
    tasks, *rest = source.shape_at(0)
    size, by_class = rest[-1], len(rest) == 2
    parts: dict[str, list[ClassScores]] = {name: [] for name in arms.names}
    for step in range(-(-sets // GROUP)):
        episodes = source.meta_batch_at(step)
        for name, found in parts.items():
            if name not in TRAINED or step * GROUP < TRAINED_SETS:
                found.append(class_scored(arms.answer(name, episodes, size), episodes))
    scores = {name: class_joined(found) for name, found in parts.items()}
    metric, joint, separate = arms.model.facts.metric, scores[JOINT], scores[SEPARATE]
    against = compared_with(joint, separate, metric)
    trained = {
        name: ComparedClassArm(
            *(over_episodes(one.of(metric)), likelihood_of(name, one)),
            **compared_with(joint, one, metric)._asdict(),
            settings=dict(arms.settings(name, size)),
        )
        for name, one in scores.items()
        if name in TRAINED
    }
    return ClassCell(
        way=rest[0] if by_class else None,
        shot=rest[1] if by_class else None,
        points=None if by_class else rest[0],
        tasks=tasks,
        sets=against.sets,
        metric=metric,
        joint=arm_of(joint, metric),
        separate=arm_of(separate, metric),
        delta=against.delta,
        delta_ci95=against.delta_ci95,
        verdict=against.verdict,
        arms=trained or None,
    )


class Against(NamedTuple):
    """Joint adaptation beside another arm, on the sets that both have a score of."""

    sets: int
    joint: float
    delta: float
    delta_ci95: tuple[float, float]
    verdict: Verdict


def compared_with(joint: ClassScores, other: ClassScores, metric: str) -> Against:
    """Paired by set; a set may have nothing to ask."""
    theirs = other.of(metric)
    ours = joint.of(metric)[: len(theirs)]
    both = np.isfinite(ours - theirs)
    delta, low, high = paired((ours - theirs)[both])
    count = int(both.sum())
    said = verdict(low, high, count, larger_is_better=metric != "mse")
    return Against(count, float(ours[both].mean()), delta, (low, high), said)


def likelihood_of(arm: str, scores: ClassScores) -> Estimate | None:
    """None of an arm that gives no probabilities."""
    return None if arm == PRETRAINED else over_episodes(scores.log_likelihood)


def arm_of(scores: ClassScores, metric: str) -> ClassArm:
    return ClassArm(
        None if metric == "mse" else over_episodes(scores.accuracy),
        over_episodes(scores.log_likelihood),
        None if metric in ("accuracy", "auc") else over_episodes(scores.mse),
        over_episodes(scores.auc) if metric == "auc" else None,
    )


def evaluate_class_sets(
    path: Path,
    *,
    shot: str | int | None,
    sets: int,
    seed: int,
    arms: Sequence[str] = ARMS,
    dry_run: bool,
    report: Reporter,
) -> SetEvaluation:
    """Joint adaptation against the other arms on unseen sets of the model's own source.

    Args:
        shot: numbers of examples of each class, or of rows of a task: `1,5`.
        arms: which are wanted, of those that the run has; joint and separate are always there.
    Raises:
        BundleError, DataError, UsageProblem.
    """
    model = load_classes(path)
    compared = ClassArms(model, tuned_beside(path), tuple(arms))
    sizes = () if shot is None else shots_of(str(shot))

    def tick(done: int) -> None:
        report(Progress("evaluating", done, max(len(sizes), done), "cells"))

    cells = () if dry_run else class_cells(compared, sizes, sets, seed=seed, tick=tick)
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
