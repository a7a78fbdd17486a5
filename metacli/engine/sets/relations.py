"""How well a learner tells which tasks of a set are related, where the generator knows it.

Shape letters: B sets, T tasks, P pairs of tasks.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from metacli.algorithms.meta_multitask.protocol import alone, together
from metacli.engine.results.sets import PairScore
from metacli.engine.scoring.intervals import over_episodes
from metacli.engine.sets.coupling import Coupling, area, computed, mean_density
from metacli.engine.sets.model import SetModel
from metacli.types import Batch, SetEpisode

GAINED = (
    "gain of the mean log-likelihood of one task's queries from the labels of the other, without a "
    "third task"
)


@dataclass(frozen=True)
class PairScores:
    """Pairs of tasks of several sets, [P]: how strongly they are coupled, both directions together,
    whether they are related, and the number of the set that each is of."""

    strength: np.ndarray
    related: np.ndarray
    set: np.ndarray


def strengths(model: SetModel, episodes: SetEpisode) -> Coupling:
    """A of a learner that has one, otherwise what tasks gain from each other two by two."""
    learned = computed(model, episodes)
    return Coupling(gains(model, episodes), GAINED) if learned is None else learned


def gains(model: SetModel, episodes: SetEpisode) -> np.ndarray:
    """[B, T, T]: mean log-density of task t's queries where t and s see each other and no third
    task, minus that where t is alone. Two by two, since what a third task says of t hides what s
    would."""
    sets, tasks = episodes.roles.shape
    found = np.zeros((sets, tasks, tasks))
    for pair in combinations(range(tasks), 2):
        two = of_tasks(episodes, pair)
        both, each = (mean_density(model, two, sees(two.roles)) for sees in (together, alone))
        gained = (both - each).double().numpy()
        found[:, pair[0], pair[1]], found[:, pair[1], pair[0]] = gained[:, 0], gained[:, 1]
    return found


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
