"""`evaluate` of a learner of sets: joint against separate adaptation on the same fresh sets, by
number of points and of tasks."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from torch import Tensor

from metacli.algorithms.meta_multitask.protocol import alone, together
from metacli.data.sets.sources import FunctionsOptions, SetShape, functions
from metacli.engine.results.sets import Arm, SetCell
from metacli.engine.scoring.intervals import Verdict, over_episodes, paired
from metacli.engine.sets.model import SetModel
from metacli.engine.sets.scoring import SetScores, joined, scored
from metacli.engine.training.options import parsed
from metacli.types import SetEpisode

GROUP = 50  # sets at a time
POINTS = (5, 10, 20)


def evaluate_cells(
    model: SetModel,
    points: Sequence[int],
    sets: int,
    *,
    seed: int = 0,
    query: int = 32,
    tick: Callable[[int], None] = lambda done: None,
) -> tuple[SetCell, ...]:
    """Every number of points with all tasks of a set, then the first with fewer tasks.

    Args:
        sets: rounded up to a whole number of groups.
        tick: told how many cells are done.
    """
    cells: list[SetCell] = []
    most = len(model.known)
    wanted = [(one, None) for one in points] + [(points[0], count) for count in range(2, most)]
    if model.recipe.data.options.get("variant") in ("mixed", "pooled"):
        wanted = wanted[: len(points)]  # which tasks are relatives differs from set to set
    for shown, count in wanted:
        cells.append(evaluate_cell(model, shown, count, sets, seed=seed, query=query))
        tick(len(cells))
    return tuple(cells)


def evaluate_cell(
    model: SetModel, points: int, tasks: int | None, sets: int, *, seed: int, query: int
) -> SetCell:
    """One cell; `tasks` None is all of them. With fewer, the first of each set see each other, and
    the error is theirs."""
    options = parsed(FunctionsOptions, model.recipe.data.options)
    source = functions(options, SetShape(points, query, GROUP), ("test", seed))
    parts: tuple[list[SetScores], list[SetScores]] = ([], [])
    seen = 0
    for step in range(-(-sets // GROUP)):
        episodes = first_tasks(source.meta_batch_at(step), tasks)
        seen = max(seen, episodes.roles.shape[1])
        for found, sees in zip(parts, (together, alone), strict=True):
            found.append(scored(model.answer(episodes, sees(episodes.roles)), episodes.query))
    joint, separate = map(joined, parts)
    delta, low, high = paired(joint.error - separate.error)
    verdict: Verdict = "helped" if high < 0 else "hurt" if low > 0 else "no_difference"
    arms = (arm_of(joint), arm_of(separate))
    return SetCell(points, seen, len(joint.error), *arms, delta, (low, high), verdict)


def arm_of(scores: SetScores) -> Arm:
    return Arm(
        over_episodes(scores.error),
        over_episodes(scores.log_likelihood),
        float(scores.coverage.mean()),
    )


def first_tasks(episodes: SetEpisode, count: int | None) -> SetEpisode:
    """The sets with their first tasks only."""
    if count is None:
        return episodes
    cut: Callable[[Tensor], Tensor] = lambda value: value[:, :count]  # noqa: E731
    support, query = (
        type(half)(cut(half.x), cut(half.y), None if half.mask is None else cut(half.mask))
        for half in episodes[:2]
    )
    return SetEpisode(support, query, cut(episodes.roles))
