"""The guard against negative transfer: each task shares only where that is better for it.

On inner folds of the training rows the run's own training, the other ways to share that were given,
and the single-task training are repeated; a task shares where its mean gain over the folds is more
than one standard error (L. Breiman et al.'s rule, with the simpler model alone). The error is the
larger one of that over folds, which knows how much training varies, and that over rows; both are of
differences on the same rows. Of several ways to share that one is taken which brings most to the
tasks that would share by it. Validation rows pick the step, as they do in the run; test rows are
not read.

Networks of few rows differ as much from one training to the next as from a shared one. So each is
trained twice, from two seeds, and answers with the mean of both (L. Hansen, P. Salamon, "Neural
network ensembles", IEEE TPAMI 12, 1990): in every fold, and in what is shipped and what that is
compared with, shared or alone. What sharing brings is then not what averaging brings.

Of many tasks one is always lucky. So what the others gain counts, too: gains in units of their
errors, z_t ~ N(θ_t, 1), are taken as draws of θ_t ~ N(μ, τ²) with μ and τ² from all tasks (C.
Morris, "Parametric empirical Bayes inference", JASA 78, 1983), and the expected θ_t given all tasks
has to be more than its own standard error as well.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch

from metacli.data.draws import shuffled
from metacli.data.multi_task.dataset import MultiTaskRows
from metacli.engine.results.base import Json
from metacli.engine.scoring.checks import LOWER_IS_BETTER
from metacli.engine.scoring.multi_task_params import predictions
from metacli.engine.scoring.multi_task_scores import compare, own_metric, task_score
from metacli.engine.training.multi_task.single_task import (
    TRAININGS,
    Candidate,
    repetitions,
    train_best,
)
from metacli.engine.training.signals import Control

FOLDS = 5
FEWEST = 4  # tasks from which one learns how much gains differ


@dataclass(frozen=True)
class Decision:
    """Whether a task shares, and why: its mean gain by sharing (positive is better), in units of
    its metric, and the standard error of that."""

    shares: bool
    gain: float
    error: float

    def as_dict(self) -> dict[str, Json]:
        answer = "together" if self.shares else "alone"
        return {"answer": answer, "gain": self.gain, "standard_error": self.error}


@dataclass(frozen=True)
class Guarded:
    """What the inner folds say.

    Args:
        decisions: of each task, on sharing by `network`.
        network: the place of the way to share that is taken: 0 is the run's own, the others follow
            in their order.
        name: of it.
    """

    decisions: list[Decision]
    network: int = 0
    name: str = "together"


Others = Callable[[MultiTaskRows], Sequence[Candidate]]
"""Further ways to share, made of the rows that they may see: the same ones for any rows."""
Folds = list[list[np.ndarray]]
"""[FOLDS][T]: predictions of the held-out rows, or their targets."""


def decide(
    together: Candidate,
    alone: Candidate,
    rows: MultiTaskRows,
    steps: int,
    device: torch.device,
    control: Control,
    others: Others = lambda rows: (),
) -> Guarded | None:
    """One decision for each task, and by which network it would share; None when a signal came."""
    folds = inner_folds(rows)
    found: dict[str, Folds] = {}
    targets: Folds = []
    for fold in range(FOLDS):
        inner = without_fold(rows, folds, fold)
        targets.append(inner.numbers("test")[1])
        for candidate in (together, *others(inner), alone):
            label = f"guard: fold {fold + 1} of {FOLDS}, {candidate.name}"
            predicted = []
            for one in repetitions(candidate, TRAININGS):
                made = train_best(one, inner, steps, device, control, label)
                if made is None:
                    return None
                predicted.append(predictions(one.problem, made[0], inner, "test"))
            found.setdefault(candidate.name, []).append(mean_of(predicted))
    by_itself = found.pop(alone.name)
    each = [
        Guarded(decisions_of(rows.table.metric, targets, shared, by_itself), place, name)
        for place, (name, shared) in enumerate(found.items())
    ]
    return max(each, key=brought)  # the first of equals: the run's own


def mean_of(predicted: Sequence[Sequence[np.ndarray]]) -> list[np.ndarray]:
    """Of each task's values or probabilities, over the trainings."""
    return [np.mean(of_task, axis=0) for of_task in zip(*predicted, strict=True)]


def decisions_of(metric: str, targets: Folds, shared: Folds, alone: Folds) -> list[Decision]:
    """Of every task, on one way to share."""
    by_task = zip(*(zip(*one, strict=True) for one in (targets, shared, alone)), strict=True)
    return compared_with_others([judge(metric, y, a, b) for y, a, b in by_task])


def brought(guarded: Guarded) -> float:
    """What sharing brings in all, to the tasks that would share."""
    return sum(one.gain for one in guarded.decisions if one.shares)


def judge(
    metric: str,
    y: Sequence[np.ndarray],
    together: Sequence[np.ndarray],
    alone: Sequence[np.ndarray],
) -> Decision:
    """The decision for one task from its held-out rows in every fold."""
    sign = -1.0 if own_metric(metric, together[0]) in LOWER_IS_BETTER else 1.0
    gains, variances = [], []
    for target, a, b in zip(y, together, alone, strict=True):
        if len(target) < 2:
            continue
        first, second = (task_score(metric, target, one) for one in (a, b))
        difference = compare(first, second)
        if math.isfinite(difference.delta) and math.isfinite(difference.high):
            gains.append(sign * difference.delta)
            parts = (x - z for x, z in zip(first.parts, second.parts, strict=True))
            variances.append(sum(float(one.var(ddof=1)) / len(one) for one in parts))
    if len(gains) < 2:
        return Decision(False, math.nan, math.nan)
    values = np.array(gains)
    over_folds = float(values.std(ddof=1)) / math.sqrt(len(values))
    over_rows = math.sqrt(sum(variances)) / len(values)
    error = max(over_folds, over_rows)
    gain = float(values.mean())
    return Decision(gain > error, gain, error)


def compared_with_others(found: list[Decision]) -> list[Decision]:
    """The decisions without those that only luck among many tasks explains."""
    known = [one for one in found if one.error > 0 and math.isfinite(one.gain / one.error)]
    if len(known) < FEWEST:
        return found
    z = np.array([one.gain / one.error for one in known])
    spread = max(0.0, float(z.var(ddof=1)) - 1)  # τ²
    error = math.sqrt((spread + 1 / len(z)) / (spread + 1))  # of θ_t and of μ

    def likely(one: Decision) -> bool:
        if one not in known:
            return True
        return spread * one.gain / one.error + float(z.mean()) > error * (spread + 1)

    return [replace(one, shares=one.shares and likely(one)) for one in found]


def inner_folds(rows: MultiTaskRows) -> list[np.ndarray]:
    """The fold of each training row of each task: stretches of a trajectory, otherwise at random,
    classes apart."""
    found = []
    for task, (kind, own) in enumerate(zip(rows.table.kinds, rows.parts["train"], strict=True)):
        fold = np.empty(len(own), np.int64)
        if rows.table.split == "blocks":
            fold[:] = np.arange(len(own)) * FOLDS // max(1, len(own))
        else:
            shared = rows.table.rows == "shared"
            order = np.array(shuffled(len(own), "guard", 0 if shared else task), np.int64)
            if kind == "classification" and not shared:
                order = order[np.argsort(rows.table.y[task][own[order]], kind="stable")]
            fold[order] = np.arange(len(own)) % FOLDS
        found.append(fold)
    return found


def without_fold(rows: MultiTaskRows, numbers: list[np.ndarray], fold: int) -> MultiTaskRows:
    """The same rows, with one fold of the training rows instead of the test rows."""
    train = rows.parts["train"]
    inner = tuple(own[number != fold] for own, number in zip(train, numbers, strict=True))
    held = tuple(own[number == fold] for own, number in zip(train, numbers, strict=True))
    return replace(rows, parts={"train": inner, "val": rows.parts["val"], "test": held})
