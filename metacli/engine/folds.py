"""How a model does on a user's few examples: held-out predictions, an interval, and what a simple
model reaches."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from metacli.data.draws import shuffled
from metacli.engine.intervals import nadeau_bengio, paired, verdict, wilson
from metacli.nn.logistic import fit_logistic
from metacli.types import Batch

MAX_FOLDS = 5
Predict = Callable[[Batch, Tensor], Tensor]
"""(support, x of the held-out) -> probabilities [M, N]."""


@dataclass(frozen=True)
class Split:
    """Rows to adapt on and rows to score on."""

    support: np.ndarray
    query: np.ndarray


@dataclass(frozen=True)
class HeldOut:
    """Predictions on examples that were not adapted on, in the order of the splits."""

    probabilities: np.ndarray  # [M, N]
    y: np.ndarray  # [M]
    sizes: tuple[int, ...]  # held-out rows of each split

    @property
    def hits(self) -> np.ndarray:
        return (self.probabilities.argmax(1) == self.y).astype(float)


def stratified_folds(y: np.ndarray, seed: int, most: int = MAX_FOLDS) -> list[Split]:
    """k = min(`most`, smallest class) folds that each hold every class; empty when a class has a
    single example."""
    labels = np.unique(y)
    k = min(most, *(int((y == label).sum()) for label in labels))
    if k < 2:
        return []
    fold = np.empty(len(y), int)
    offset = 0
    for label in labels:
        rows = np.flatnonzero(y == label)
        order = rows[shuffled(len(rows), "fold", seed, int(label))]
        # Classes start at different folds, so that the folds have nearly equal sizes.
        fold[order] = (np.arange(len(rows)) + offset) % k
        offset += len(rows)
    return [Split(np.flatnonzero(fold != i), np.flatnonzero(fold == i)) for i in range(k)]


def holdout(y: np.ndarray, share: float, seed: int) -> list[Split]:
    """One split with about `share` of each class held out, at least one and never all."""
    held: list[int] = []
    for label in np.unique(y):
        rows = np.flatnonzero(y == label)
        count = min(len(rows) - 1, max(1, round(share * len(rows))))
        held += rows[shuffled(len(rows), "holdout", seed, int(label))[:count]].tolist()
    query = np.array(sorted(held), int)
    return [Split(np.setdiff1d(np.arange(len(y)), query), query)] if len(query) else []


def held_out(predict: Predict, x: Tensor, y: Tensor, splits: Sequence[Split]) -> HeldOut:
    """Adapt anew for every split and predict what it holds out."""
    found, labels = [], []
    for split in splits:
        support = Batch(x[split.support], y[split.support])
        found.append(predict(support, x[split.query]).cpu().numpy())
        labels.append(y[split.query].cpu().numpy())
    return HeldOut(np.concatenate(found), np.concatenate(labels), tuple(len(one) for one in labels))


def logistic_on_raw(classes: int) -> Predict:
    """Logistic regression on the raw inputs, scaled to 0..1."""

    def predict(support: Batch, x: Tensor) -> Tensor:
        weight, bias = fit_logistic(support.x.flatten(1).double() / 255, support.y, classes)
        return torch.softmax(x.flatten(1).double() / 255 @ weight.T + bias, 1)

    return predict


def majority(classes: int) -> Predict:
    """Always the class with the most support examples."""

    def predict(support: Batch, x: Tensor) -> Tensor:
        counts = torch.bincount(support.y, minlength=classes).double()
        return (counts / counts.sum()).expand(len(x), -1)

    return predict


def score_of(found: HeldOut, how: str, classes: int) -> dict[str, Any]:
    """Accuracy with Wilson's interval, and what counts every class the same."""
    hits, n = float(found.hits.sum()), len(found.y)
    low, high = wilson(hits, n)
    return {
        "metric": "accuracy",
        "value": hits / n,
        "low": low,
        "high": high,
        "n": n,
        "balanced": balanced_accuracy(found),
        "macro_f1": macro_f1(found),
        "how": how,
        "chance": 1 / classes,
    }


def balanced_accuracy(found: HeldOut) -> float:
    """The mean over classes of the share of their examples that are right."""
    return float(np.mean([found.hits[found.y == label].mean() for label in np.unique(found.y)]))


def macro_f1(found: HeldOut) -> float:
    """The mean F1 of the classes that occur, as they are or as they are named: 2 right / (examples
    + times named)."""
    said = found.probabilities.argmax(1)
    scores = [
        2
        * ((found.y == label) & (said == label)).sum()
        / ((found.y == label).sum() + (said == label).sum())
        for label in np.union1d(found.y, said)
    ]
    return float(np.mean(scores))


def confusion(found: HeldOut, classes: int) -> list[list[int]]:
    """counts[true][predicted]."""
    counts = np.zeros((classes, classes), int)
    np.add.at(counts, (found.y, found.probabilities.argmax(1)), 1)
    return counts.tolist()


def compare(ours: HeldOut, other: HeldOut, name: str, how: str) -> dict[str, Any]:
    """The paired difference to a baseline on the same held-out examples, and what it says."""
    difference = ours.hits - other.hits
    if how.startswith("kfold"):
        folds = np.array([part.mean() for part in np.split(difference, np.cumsum(ours.sizes)[:-1])])
        delta, low, high = nadeau_bengio(folds, 1 / (len(folds) - 1))
    else:
        delta, low, high = paired(difference)
    return {
        "baseline": {"name": name, "value": float(other.hits.mean())},
        "delta": delta,
        "delta_ci95": [low, high],
        "verdict": verdict(low, high, len(difference)),
    }
