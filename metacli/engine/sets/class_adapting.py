"""A learner of sets of classifications adapted to one set of a user: whether the tasks help each
other, measured on held-out rows, and the model of the set."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from metacli.algorithms.meta_multitask.protocol import alone, together
from metacli.data.draws import shuffled
from metacli.data.sets.own_episodes import padded
from metacli.data.sets.own_one import OneSet
from metacli.data.sets.own_tasks import OwnTask
from metacli.engine.results.sets import SetTaskScore
from metacli.engine.scoring.intervals import paired, t_quantile, verdict
from metacli.engine.sets.class_adapted import AdaptedClassSet, AdaptedTask
from metacli.engine.sets.class_model import ClassSetModel
from metacli.engine.sets.coupling import hiding
from metacli.nn.set_answers import class_losses
from metacli.types import SetEpisode

FOLDS = 5
NEVER = -1  # the fold of a row that is always support


class HeldOutRows(NamedTuple):
    """Of each task, under one way of seeing: the score of each held-out row (1 where its class is
    right; the absolute error in the user's units), and its log-likelihood."""

    score: list[np.ndarray]
    density: list[np.ndarray]


class ClassResult(NamedTuple):
    """Every task, and [T, T]: by how much the mean log-likelihood of the held-out labels of a row's
    task falls when a column's task is hidden."""

    tasks: tuple[SetTaskScore, ...]
    coupling: np.ndarray


def adapt_to_classes(
    model: ClassSetModel, one: OneSet, *, guard: bool = False, folds: int = FOLDS, seed: int = 0
) -> tuple[AdaptedClassSet, ClassResult]:
    """The model of a set.

    Args:
        guard: a task is answered from its own labels alone where that was better on held-out rows
            by one standard error of the paired difference.
    """
    roles = torch.full((1, len(one.tasks)), -1)
    parts = [folds_of(task, folds, (seed, task.name)) for task in one.tasks]
    joint = held_out(model, one, parts, together(roles))
    separate = held_out(model, one, parts, alone(roles))
    scores = tuple(
        judged(task, joint.score[t], separate.score[t], guard=guard)
        for t, task in enumerate(one.tasks)
    )
    coupling = np.zeros((len(one.tasks), len(one.tasks)))
    for s in range(len(one.tasks)):
        without = held_out(model, one, parts, hiding(roles, s))
        for t in range(len(one.tasks)):
            if t != s and len(joint.density[t]):
                coupling[t, s] = (joint.density[t] - without.density[t]).mean()
    known = [np.flatnonzero(~np.isnan(task.y)).tolist() for task in one.tasks]
    tasks = tuple(
        AdaptedTask(task.name, task.labels, target, len(rows), score.joint)
        for task, target, rows, score in zip(one.tasks, one.targets, known, scores, strict=True)
    )
    support = padded(one.store, [(one.tasks, known)])
    adapted = AdaptedClassSet(model, tasks, one.layout, one.task, support)
    return adapted, ClassResult(scores, coupling)


def folds_of(task: OwnTask, folds: int, key: tuple[int, str]) -> np.ndarray:
    """The fold of each row [M]; `NEVER` of one without a label, or the only one of its class. Rows
    of a class are spread over the folds."""
    found = np.full(len(task.y), NEVER)
    order = [at for at in shuffled(len(task.y), "set folds", *key) if not np.isnan(task.y[at])]
    if task.labels:
        counts = {label: int((task.y == label).sum()) for label in set(task.y[order].tolist())}
        order = [at for at in order if counts[task.y[at]] > 1]
        order.sort(key=lambda at: task.y[at])
    elif len(order) < 2:
        return found
    found[order] = np.arange(len(order)) % folds
    return found


def held_out(
    model: ClassSetModel, one: OneSet, parts: Sequence[np.ndarray], sees: Tensor
) -> HeldOutRows:
    """Every row of a fold answered without the labels of its fold, in any task."""
    scores = [np.full(len(part), np.nan) for part in parts]
    densities = [np.full(len(part), np.nan) for part in parts]
    ways = torch.tensor([[len(task.labels) for task in one.tasks]])
    for fold in range(max(int(part.max(initial=NEVER)) for part in parts) + 1):
        kept = [
            np.flatnonzero((part != fold) & ~np.isnan(task.y)).tolist()
            for task, part in zip(one.tasks, parts, strict=True)
        ]
        asked = [np.flatnonzero(part == fold).tolist() for part in parts]
        support, query = (padded(one.store, [(one.tasks, some)]) for some in (kept, asked))
        episodes = SetEpisode(support, query, torch.full_like(ways, -1), ways)
        found = model.respond(episodes, sees)
        likelihood = -class_losses(found, query, ways)
        hits = (found.logits.argmax(-1) == query.y).double()
        normal = torch.distributions.Normal(found.mean, found.variance.sqrt()).log_prob(query.y)
        for t, task in enumerate(one.tasks):
            count, here = len(asked[t]), asked[t]
            scale = model.facts.levels.get(one.targets[t] or "", (0.0, 1.0))[1]
            error = scale * (found.mean - query.y).abs()
            score, density = (hits, likelihood) if task.labels else (error, normal)
            scores[t][here] = score[0, t, :count].double().numpy()
            densities[t][here] = density[0, t, :count].double().numpy()
    finite = [part != NEVER for part in parts]
    return HeldOutRows(
        [each[ok] for each, ok in zip(scores, finite, strict=True)],
        [np.maximum(each[ok], -50) for each, ok in zip(densities, finite, strict=True)],
    )


def judged(task: OwnTask, joint: np.ndarray, separate: np.ndarray, *, guard: bool) -> SetTaskScore:
    """What the held-out rows of one task say."""
    known = int((~np.isnan(task.y)).sum())
    metric = "accuracy" if task.labels else "mae"
    if len(joint) < 2:
        blank = (None, None, None, None)
        return SetTaskScore(task.name, known, *blank, "too_few_to_say", joint=True, metric=metric)
    delta, low, high = paired(joint - separate)
    error = (high - delta) / t_quantile(len(joint) - 1)
    worse = -delta if task.labels else delta
    return SetTaskScore(
        task.name,
        known,
        float(joint.mean()),
        float(separate.mean()),
        delta,
        (low, high),
        verdict(low, high, len(joint), larger_is_better=bool(task.labels)),
        joint=not (guard and worse > error),
        metric=metric,
    )
