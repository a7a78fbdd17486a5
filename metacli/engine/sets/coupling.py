"""How strongly the tasks of a set are coupled: by what the learner itself computes (`coupled`), or
by what its answers lose when a task is hidden.

Shape letters: B sets, T tasks, Q query points.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from metacli.algorithms.meta_multitask.coupled import Coupled
from metacli.algorithms.meta_multitask.protocol import together
from metacli.engine.sets.model import SetModel
from metacli.engine.sets.scoring import log_density
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
    """Of sets whose queries have labels: A, or what hiding each task costs the others' queries."""
    found = computed(model, episodes)
    return Coupling(drops(model, episodes), HIDDEN) if found is None else found


def drops(model: SetModel, episodes: SetEpisode) -> np.ndarray:
    """[B, T, T]: mean log-density of task t's queries with all tasks minus that without task s."""
    whole = mean_density(model, episodes, together(episodes.roles))
    tasks = range(episodes.roles.shape[1])
    parts = [whole - mean_density(model, episodes, hiding(episodes.roles, s)) for s in tasks]
    return without_diagonal(torch.stack(parts, -1).double().numpy())


def mean_density(model: SetModel, episodes: SetEpisode, sees: Tensor) -> Tensor:
    """[B, T]."""
    query = episodes.query
    density = log_density(model.answer(episodes, sees), query.y)
    counted = counted_of(query, density)
    return (density * counted).sum(-1) / counted.sum(-1).clamp(min=1)


def counted_of(query: Batch, like: Tensor) -> Tensor:
    return torch.ones_like(like) if query.mask is None else query.mask.to(like.dtype)


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
