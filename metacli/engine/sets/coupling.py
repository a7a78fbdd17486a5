"""How strongly the tasks of a set are coupled: by what the learner itself computes (`coupled`), or
by what their labels say about each other (`in_turn`). And how well that tells which of them are
related, where the generator knows it.

Shape letters: B sets, T tasks, P pairs of tasks.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from metacli.algorithms.meta_multitask.coupled import Coupled
from metacli.algorithms.meta_multitask.protocol import together
from metacli.engine.results.sets import PairScore
from metacli.engine.scoring.intervals import over_episodes
from metacli.engine.sets.in_turn import relatedness_of
from metacli.engine.sets.model import SetModel
from metacli.types import Batch, SetEpisode

HIDDEN = (
    "fall of the mean log-likelihood of the held-out labels of a row's task when the labels of a "
    "column's task are hidden"
)
LEARNED = "A: the share that the gradient of a column's task has in the steps of a row's task"


@dataclass(frozen=True)
class Coupling:
    """matrix [B, T, T]: a row is the task that learns, a column the one that it learns from; what a
    task is to itself is 0. `what` says what the values are."""

    matrix: np.ndarray
    what: str


def computed(model: SetModel, episodes: SetEpisode) -> Coupling | None:
    """A of the supports; None of a learner that has none."""
    learner, problem = model.learner(), model.problem()
    if not isinstance(learner, Coupled):
        return None
    with torch.no_grad():
        copies = learner.of(problem).copies(model.params, episodes.roles)
        sees = together(episodes.roles)
        found = learner.coupling(problem, model.params, copies, episodes, sees)
    return Coupling(without_diagonal(found.double().numpy()), LEARNED)


def coupling_of(model: SetModel, episodes: SetEpisode) -> Coupling:
    """A, or which tasks are related by what their labels say about each other. Queries are not
    looked at."""
    learned = computed(model, episodes)
    return Coupling(*relatedness_of(model, episodes)) if learned is None else learned


def hiding(roles: Tensor, task: int) -> Tensor:
    """Every task sees all but that one, which sees itself: [B, T, T]."""
    sees = together(roles)
    sees[:, task], sees[:, :, task] = False, False
    sees[:, task, task] = True
    return sees


def without_diagonal(matrix: np.ndarray) -> np.ndarray:
    """0 where a task stands beside itself."""
    return np.where(np.eye(matrix.shape[-1], dtype=bool), 0.0, matrix)


def auc_of(sets: Sequence[tuple[np.ndarray, np.ndarray]]) -> float | None:
    """How well couplings tell related pairs of tasks from unrelated ones: the area under the ROC
    curve over all pairs of all sets, of the coupling in both directions together; None where all
    pairs are of one kind.

    Args:
        sets: coupling and true relations of each, both [T, T].
    """
    pairs = [
        ((matrix + matrix.T)[above], related[above])
        for matrix, related in sets
        for above in [np.triu_indices(len(matrix), 1)]
    ]
    both, truth = (np.concatenate(part) for part in zip(*pairs, strict=True))
    return area(both[truth], both[~truth])


def area(positive: np.ndarray, negative: np.ndarray) -> float | None:
    """Mann and Whitney's U over the number of pairs; ties count half."""
    if not len(positive) or not len(negative):
        return None
    order = np.sort(negative)
    wins = np.searchsorted(order, positive, "left") + np.searchsorted(order, positive, "right")
    return float(wins.mean() / (2 * len(negative)))


@dataclass(frozen=True)
class PairScores:
    """Pairs of tasks of several sets, [P]: how strongly they are coupled, both directions together,
    whether they are related, and the number of the set that each is of."""

    strength: np.ndarray
    related: np.ndarray
    set: np.ndarray


def of_tasks(episodes: SetEpisode, tasks: Sequence[int]) -> SetEpisode:
    """The sets with these tasks only."""
    at = list(tasks)

    def half(batch: Batch) -> Batch:
        mask = None if batch.mask is None else batch.mask[:, at]
        return Batch(batch.x[:, at], batch.y[:, at], mask)

    ways = None if episodes.ways is None else episodes.ways[:, at]
    return SetEpisode(half(episodes.support), half(episodes.query), episodes.roles[:, at], ways)


def pairs_of(coupling: np.ndarray, related: np.ndarray, first: int = 0) -> PairScores:
    """The pairs t < s of B sets, whose numbers begin with `first`; both [B, T, T]."""
    above = np.triu_indices(coupling.shape[-1], 1)
    both = (coupling + coupling.swapaxes(1, 2))[:, *above]
    numbers = first + np.repeat(np.arange(len(coupling)), both.shape[1])
    return PairScores(both.ravel(), related[:, *above].ravel(), numbers)


def joined_pairs(parts: Sequence[PairScores]) -> PairScores:
    """Those of several groups of sets."""
    return PairScores(
        np.concatenate([one.strength for one in parts]),
        np.concatenate([one.related for one in parts]),
        np.concatenate([one.set for one in parts]),
    )


def one_kind(related: np.ndarray) -> bool:
    """Whether all pairs of tasks are related, or none."""
    pairs = related[:, *np.triu_indices(related.shape[-1], 1)]
    return bool(pairs.all()) or not bool(pairs.any())


def pair_score(pairs: PairScores, what: str) -> PairScore:
    """The areas under the ROC curve over all pairs, and among the pairs of a set: the mean over the
    sets that have both kinds.

    Args:
        what: the strength of a pair.
    """
    whole = area(pairs.strength[pairs.related], pairs.strength[~pairs.related])
    assert whole is not None
    numbers, areas = np.unique(pairs.set), []
    for number in numbers:
        strength, related = (part[pairs.set == number] for part in (pairs.strength, pairs.related))
        areas.append(area(strength[related], strength[~related]))
    within = over_episodes(np.array([one for one in areas if one is not None], float))
    related = int(pairs.related.sum())
    return PairScore(whole, within, len(pairs.related), related, len(numbers), what)
