"""`evaluate` of a learner of sets: joint adaptation against the other arms on the same fresh sets,
by number of points and of tasks.

Shape letters: B sets, T tasks.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from metacli.data.sets.sources import SetShape
from metacli.engine.results.sets import Arm, ComparedArm, NamedTaskScore, SetCell
from metacli.engine.scoring.intervals import (
    Estimate,
    Verdict,
    over_episodes,
    paired,
    t_quantile,
)
from metacli.engine.sets.arms.answers import Arms
from metacli.engine.sets.arms.names import ARMS, JOINT, ORACLE, SEPARATE, TRAINED
from metacli.engine.sets.build import source_of
from metacli.engine.sets.coupling import (
    PairScores,
    coupling_of,
    joined_pairs,
    of_tasks,
    one_kind,
    pair_score,
    pairs_of,
)
from metacli.engine.sets.model import SetModel
from metacli.engine.sets.scoring import SetScores, joined, scored, task_errors
from metacli.types import SetEpisode

GROUP = 50  # sets at a time
TRAINED_SETS = 100  # on which arms are measured that are trained for every set
Shape = tuple[int, int | None]
PAIRED_SETS = 100  # on which the coupling is measured


@dataclass(frozen=True)
class Wanted:
    """What is measured.

    Args:
        shapes: numbers of support points and of tasks, None for all that a set has.
        sets: rounded up to a whole number of groups.
        arms: of `ARMS`; those that the model does not have are left out.
        tick: is given what is measured next.
    """

    shapes: Sequence[Shape]
    sets: int = 600
    seed: int = 0
    query: int = 32
    arms: Sequence[str] = ARMS
    tick: Callable[[str], None] = lambda what: None


@dataclass
class Gathered:
    """What the groups of sets of one cell gave."""

    scores: dict[str, list[SetScores]]
    joint: list[np.ndarray]  # errors of tasks, [B, T]
    separate: list[np.ndarray]
    roles: list[np.ndarray]
    pairs: list[PairScores]
    what: str = ""  # the strength of a pair


def evaluate_cells(arms: Arms, wanted: Wanted) -> tuple[SetCell, ...]:
    """A cell for every shape."""
    return tuple(cell_of(arms, points, tasks, wanted) for points, tasks in wanted.shapes)


def shapes_of(model: SetModel, points: Sequence[int]) -> tuple[Shape, ...]:
    """Every number of points with all tasks of a set, then the first with fewer tasks."""
    shapes: list[Shape] = [(one, None) for one in points]
    if model.recipe.data.options.get("variant") not in ("mixed", "pooled"):
        # Of mixed sets, which tasks are related differs from set to set.
        shapes += [(points[0], count) for count in range(2, len(model.known))]
    return tuple(shapes)


def groups_of(sets: int) -> int:
    """In how many groups so many sets are measured."""
    return -(-sets // GROUP)


def cell_of(arms: Arms, points: int, tasks: int | None, wanted: Wanted) -> SetCell:
    """One cell; `tasks` None is all of them. With fewer, the first of each set see each other, and
    the error is theirs."""
    shape = SetShape(points, wanted.query, GROUP)
    source = source_of(arms.model.recipe, shape, ("test", wanted.seed))
    names = [one for one in arms.names if one in (JOINT, SEPARATE) or one in wanted.arms]
    found, seen = Gathered({name: [] for name in names}, [], [], [], []), 0
    for step in range(groups_of(wanted.sets)):
        wanted.tick(f"{points} points")
        episodes = source.meta_batch_at(step)
        if tasks is not None:
            episodes = of_tasks(episodes, range(tasks))
        seen = max(seen, episodes.roles.shape[1])
        related = source.related_at(step)[:, :tasks, :tasks]
        gather(found, arms, episodes, torch.from_numpy(related), points, step)
        if step * GROUP < PAIRED_SETS and tasks is None and not one_kind(related):
            coupling = coupling_of(arms.model, episodes)
            found.what = coupling.what
            found.pairs.append(pairs_of(coupling.matrix, related, step * GROUP))
    return cell_from(found, arms, points, seen)


def gather(
    found: Gathered,
    arms: Arms,
    episodes: SetEpisode,
    related: Tensor,
    points: int,
    step: int,
) -> None:
    """Add one group of sets."""
    joint = arms.answer(JOINT, episodes, points)
    for name, parts in found.scores.items():
        if name in TRAINED and step * GROUP >= TRAINED_SETS:
            continue
        same = name == JOINT or (name == ORACLE and bool(related.all()))
        answer = joint if same else arms.answer(name, episodes, points, related)
        parts.append(scored(answer, episodes.query))
        if name in (JOINT, SEPARATE):
            errors = task_errors(answer, episodes.query)
            (found.joint if name == JOINT else found.separate).append(errors)
    found.roles.append(episodes.roles.numpy())


def cell_from(found: Gathered, arms: Arms, points: int, tasks: int) -> SetCell:
    """The scores of a cell."""
    whole = {name: joined(parts) for name, parts in found.scores.items()}
    joint, separate = whole[JOINT], whole[SEPARATE]
    compared = {
        name: compared_with(scores, joint, arms.settings(name, points))
        for name, scores in whole.items()
        if name != JOINT
    }
    beside = compared[SEPARATE]
    return SetCell(
        *(points, tasks, len(joint.error), arm_of(joint), arm_of(separate)),
        *(beside.delta, beside.delta_ci95, beside.verdict),
        arms=compared,
        by_task=by_task(found, arms.model.known),
        coupling=pair_score(joined_pairs(found.pairs), found.what) if found.pairs else None,
    )


def arm_of(scores: SetScores) -> Arm:
    return Arm(over_episodes(scores.error), *distribution(scores))


def distribution(scores: SetScores) -> tuple[Estimate | None, float | None]:
    """Log-likelihood and coverage; None where an arm gives no distribution."""
    if np.isnan(scores.log_likelihood).all():
        return None, None
    return over_episodes(scores.log_likelihood), float(scores.coverage.mean())


def compared_with(
    scores: SetScores, joint: SetScores, settings: Mapping[str, float]
) -> ComparedArm:
    """An arm beside joint adaptation, on the sets that both were measured on."""
    same = joint.error[: len(scores.error)]
    delta, low, high = paired(same - scores.error)
    return ComparedArm(
        over_episodes(scores.error),
        *distribution(scores),
        float(same.mean()),
        delta,
        (low, high),
        verdict_of(low, high),
        dict(settings),
    )


def verdict_of(low: float, high: float) -> Verdict:
    """Of a difference of errors, the first minus the second."""
    return "helped" if high < 0 else "hurt" if low > 0 else "no_difference"


def by_task(found: Gathered, names: Sequence[str]) -> tuple[NamedTaskScore, ...]:
    """Every named task over the sets that have it."""
    joint, separate, roles = (
        np.concatenate([one.ravel() for one in parts])
        for parts in (found.joint, found.separate, found.roles)
    )
    there = [role for role in range(len(names)) if (roles == role).sum() > 1]
    rows = []
    for role in there:
        mine, other = joint[roles == role], separate[roles == role]
        delta, low, high = paired(mine - other)
        wider = bonferroni(len(there), len(mine))
        low_all, high_all = delta + wider * (low - delta), delta + wider * (high - delta)
        rows.append(
            NamedTaskScore(
                *(names[role], len(mine), float(mine.mean()), float(other.mean()), delta),
                (low, high),
                verdict_of(low_all, high_all),
            )
        )
    return tuple(rows)


def bonferroni(tests: int, units: int) -> float:
    """By how much a 95 % interval is wider that is to hold for several tests at once."""
    level = 1 - 0.025 / max(1, tests)
    return t_quantile(units - 1, level) / t_quantile(units - 1)
