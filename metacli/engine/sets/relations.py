"""How well a learner tells which tasks of a set are related, where the generator knows it.

The strength of a pair is A, or how much the log-likelihood of a task's labels falls when the other
task is hidden, symmetrised. The area under the ROC curve is the chance that a related pair has more
of it than an unrelated one.

Shape letters: B sets, T tasks, Q queries.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from metacli.algorithms.meta_multitask.coupled import Coupled
from metacli.algorithms.meta_multitask.protocol import together
from metacli.engine.sets.model import SetModel
from metacli.engine.sets.scoring import Answers, answers_of, evidence, log_density
from metacli.nn.set_problem import SetProblem
from metacli.types import Params, SetEpisode


@dataclass(frozen=True)
class PairScores:
    """Pairs of tasks t < s of several sets: strength and whether related, both [P], and the number
    of the set that each is of."""

    strength: np.ndarray
    related: np.ndarray
    set: np.ndarray


class Strengths(Protocol):
    """How strongly the tasks of sets are coupled, [B, T, T] of their supports; `what` says it in
    words."""

    @property
    def what(self) -> str: ...

    def __call__(self, episodes: SetEpisode) -> Tensor: ...


@dataclass(frozen=True)
class Hiding:
    """What is lost when a task is hidden."""

    answer: Answers
    what: str = (
        "fall of the mean log-likelihood of the queries of one task when the labels of the other "
        "are hidden, both ways"
    )

    def __call__(self, episodes: SetEpisode) -> Tensor:
        return fall_of_queries(self.answer, episodes)


@dataclass(frozen=True)
class Learned:
    """A of the supports."""

    learner: Coupled
    problem: SetProblem
    params: Params
    what: str = "A, both ways"

    def __call__(self, episodes: SetEpisode) -> Tensor:
        network, sees = self.learner.of(self.problem), together(episodes.roles)
        with torch.no_grad():
            copies = network.copies(self.params, episodes.roles)
            return self.learner.coupling(self.problem, self.params, copies, episodes, sees)


def strengths_of(model: SetModel) -> Strengths:
    """A of a learner that has one, otherwise what hiding a task costs."""
    learner, problem = model.learner(), model.problem()
    if isinstance(learner, Coupled):
        return Learned(learner, problem, model.params)
    return Hiding(answers_of(learner, problem, model.params))


def fall_of_queries(answer: Answers, episodes: SetEpisode) -> Tensor:
    """By how much the mean log-likelihood of the queries of task t falls when task s is hidden, [B,
    T, T]; 0 on the diagonal."""

    def density(sees: Tensor) -> Tensor:
        return log_density(answer(episodes, sees), episodes.query.y).mean(-1)

    return falls(density, episodes.roles)


def fall_of_support(answer: Answers, episodes: SetEpisode) -> Tensor:
    """The same of the labels of the supports, each answered without the labels at its point."""
    return falls(lambda sees: evidence(answer, episodes, sees), episodes.roles)


def falls(density: Callable[[Tensor], Tensor], roles: Tensor) -> Tensor:
    """density(all) - density(s hidden) of every task t, for every s, [B, T, T]."""
    tasks, whole = roles.shape[-1], density(together(roles))
    found = torch.zeros(*roles.shape, tasks, dtype=whole.dtype)
    for s in range(tasks):
        sees = together(roles)
        sees[:, s], sees[:, :, s] = False, False
        sees[:, s, s] = True
        found[:, :, s] = whole - density(sees)
        found[:, s, s] = 0
    return found


def pairs_of(strength: Tensor, related: Tensor, first: int = 0) -> PairScores:
    """The pairs of B sets, whose numbers begin with `first`; strength is symmetrised."""
    symmetric = (strength + strength.transpose(1, 2)) / 2
    upper = torch.ones(strength.shape[1:], dtype=torch.bool).triu(1)
    count = int(upper.sum())
    return PairScores(
        symmetric[:, upper].flatten().double().numpy(),
        related[:, upper].flatten().numpy(),
        first + np.repeat(np.arange(len(strength)), count),
    )


def joined_pairs(parts: Sequence[PairScores]) -> PairScores:
    """Those of several groups of sets."""
    return PairScores(
        np.concatenate([one.strength for one in parts]),
        np.concatenate([one.related for one in parts]),
        np.concatenate([one.set for one in parts]),
    )


def auc(strength: np.ndarray, related: np.ndarray) -> float:
    """The area under the ROC curve, ties counted half (Mann and Whitney); nan where all pairs are
    of one kind."""
    positive = int(related.sum())
    negative = len(related) - positive
    if not positive or not negative:
        return float("nan")
    order, ranks = np.argsort(strength, kind="stable"), np.empty(len(strength))
    ranks[order] = np.arange(1, len(strength) + 1)
    _, same, counts = np.unique(strength, return_inverse=True, return_counts=True)
    ranks = (np.bincount(same, ranks) / counts)[same]
    return float((ranks[related].sum() - positive * (positive + 1) / 2) / (positive * negative))
