"""How a model does on a user's few examples: held-out predictions, an interval, and what a simple
model reaches."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from metacli.data.draws import shuffled
from metacli.engine.models.parts import Residual
from metacli.engine.scoring.intervals import nadeau_bengio, paired, verdict, wilson
from metacli.nn.solvers.logistic import fit_logistic
from metacli.types import Batch

MAX_FOLDS = 5
FEWEST_SPLITS = 9  # of folds that are dealt anew, where they are few or the support is small
SMALL = 100  # rows of a support whose five folds are cheap enough to be dealt twice
MIN_FOLDS = 3  # for a verdict
COVERAGE = 0.9  # of the interval around a number
PENALTIES = np.logspace(-2, 4, 13)  # of ridge regression
Predict = Callable[[Batch, Tensor], Tensor]
"""(support, x of the held-out) -> probabilities [M, N]."""


@dataclass(frozen=True)
class Split:
    """Rows to adapt on and rows to score on."""

    support: np.ndarray
    query: np.ndarray


@dataclass(frozen=True)
class HeldOut:
    """Predictions on examples that were not adapted on, in the order of the splits.

    Args:
        probabilities: [M, N]; of a regression the answers, [M, 1].
        y: labels [M]; of a regression the numbers, as the network sees them.
        sizes: held-out rows of each split.
        unit: of the numbers in the units of the user; None for classes.
        times: how often each example was held out, by another split every time.
        rows: which example each row is, [M]; None where none was held out twice.
    """

    probabilities: np.ndarray
    y: np.ndarray
    sizes: tuple[int, ...]
    unit: float | None = None
    times: int = 1
    rows: np.ndarray | None = None

    @property
    def examples(self) -> int:
        """Different ones."""
        return len(self.y) // self.times

    def by_example(self, values: np.ndarray) -> np.ndarray:
        """The mean of what is said of each example, [examples]."""
        if self.rows is None:
            return values
        return np.bincount(self.rows, values) / self.times

    @property
    def hits(self) -> np.ndarray:
        """1 where the class is right."""
        return (self.probabilities.argmax(1) == self.y).astype(float)

    @property
    def residuals(self) -> np.ndarray:
        """y minus the answer of a regression, in the units of the user."""
        assert self.unit is not None
        return self.unit * (self.y - self.probabilities[:, 0])

    @property
    def quality(self) -> np.ndarray:
        """Of each example, larger is better: a hit, or minus the absolute error."""
        return self.hits if self.unit is None else -np.abs(self.residuals)


def repeated_folds(y: np.ndarray, seed: int) -> list[Split]:
    """`stratified_folds` dealt anew until there are nine splits or more.

    Three folds leave two degrees of freedom, with which an interval of a difference says next to
    nothing. Dealt three times they leave eight: with 5 classes of 3 examples it is half as wide,
    and a worse model is found twice as often, while among equally good ones a difference is found
    in 4.2 % of the tasks (benchmarks/small_folds.py).
    """
    first = stratified_folds(y, seed)
    k = len(first)
    if k in (0, len(y)) or (k == MAX_FOLDS and len(y) > SMALL):
        return first  # leaving one out is the same whenever it is dealt
    again = range(1, math.ceil(FEWEST_SPLITS / k))
    return [*first, *(one for time in again for one in stratified_folds(y, seed, deal=time))]


def stratified_folds(y: np.ndarray, seed: int, most: int = MAX_FOLDS, deal: int = 0) -> list[Split]:
    """k = min(`most`, smallest class) folds that each hold every class; empty when a class has a
    single example.

    Args:
        deal: another number gives other folds.
    """
    labels = np.unique(y)
    k = min(most, *(int((y == label).sum()) for label in labels))
    if k < 2:
        return []
    fold = np.empty(len(y), int)
    offset = 0
    again = (deal,) if deal else ()
    for label in labels:
        rows = np.flatnonzero(y == label)
        order = rows[shuffled(len(rows), "fold", seed, int(label), *again)]
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


def held_out(
    predict: Predict, x: Tensor, y: Tensor, splits: Sequence[Split], unit: float | None = None
) -> HeldOut:
    """Adapt anew for every split and predict what it holds out."""
    found, labels = [], []
    for split in splits:
        support = Batch(x[split.support], y[split.support])
        found.append(predict(support, x[split.query]).cpu().numpy())
        labels.append(y[split.query].cpu().numpy().reshape(-1))
    y_held, sizes = np.concatenate(labels), tuple(len(one) for one in labels)
    return HeldOut(np.concatenate(found), y_held, sizes, unit, *times_and_rows(splits))


def times_and_rows(splits: Sequence[Split]) -> tuple[int, np.ndarray | None]:
    """`HeldOut.times` and `HeldOut.rows` of splits that hold every example out equally often."""
    rows = np.concatenate([split.query for split in splits])
    times = len(rows) // len(np.unique(rows))
    return times, rows if times > 1 else None


def logistic_on_raw(classes: int) -> Predict:
    """Logistic regression on the raw inputs; pixels are scaled to 0..1."""

    def predict(support: Batch, x: Tensor) -> Tensor:
        most = 255 if x.dtype == torch.uint8 else 1
        weight, bias = fit_logistic(support.x.flatten(1).double() / most, support.y, classes)
        return torch.softmax(x.flatten(1).double() / most @ weight.T + bias, 1)

    return predict


def majority(classes: int) -> Predict:
    """Always the class with the most support examples."""

    def predict(support: Batch, x: Tensor) -> Tensor:
        counts = torch.bincount(support.y, minlength=classes).double()
        return (counts / counts.sum()).expand(len(x), -1)

    return predict


def score_of(found: HeldOut, how: str, classes: int) -> dict[str, Any]:
    """Accuracy with Wilson's interval, and what counts every class the same."""
    hits, n = float(found.hits.sum()) / found.times, found.examples
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
        "times": found.times,
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
    """counts[true][predicted]; an example counts as often as it was held out."""
    counts = np.zeros((classes, classes), int)
    np.add.at(counts, (found.y, found.probabilities.argmax(1)), 1)
    return counts.tolist()


def compare(ours: HeldOut, other: HeldOut, name: str, how: str) -> dict[str, Any]:
    """The paired difference to a baseline on the same held-out examples, and what it says."""
    difference = ours.quality - other.quality
    k = len(ours.sizes) // ours.times
    if how.startswith("kfold"):
        folds = np.array([part.mean() for part in np.split(difference, np.cumsum(ours.sizes)[:-1])])
        delta, low, high = nadeau_bengio(folds, 1 / (k - 1))
    else:
        delta, low, high = paired(difference)
    said = verdict(low, high, ours.examples)
    # Half of a support is too unlike all of it: among equally good models two folds, however often
    # they are dealt, find a difference in 8 to 10 % of the tasks (benchmarks/small_folds.py).
    if how.startswith("kfold") and k < MIN_FOLDS:
        said = "too_few_to_say"
    # Three or four splits see next to nothing: not to see is no finding there.
    if said == "no_difference" and how.startswith("kfold") and len(ours.sizes) < MAX_FOLDS:
        said = "too_few_to_say"
    return {
        "baseline": {"name": name, "value": float(abs(other.quality.mean()))},
        "delta": delta,
        "delta_ci95": [low, high],
        "verdict": said,
    }


def score_of_numbers(found: HeldOut, how: str, unit: str | None) -> dict[str, Any]:
    """Mean absolute error in the user's units with its interval, the root of the mean square, and
    the share of the variance that is explained."""
    errors = found.by_example(np.abs(found.residuals))
    mean, low, high = paired(errors)
    assert found.unit is not None
    variance = float((found.unit * found.y).var())
    square = float((found.residuals**2).mean())
    return {
        "metric": "mae",
        "value": mean,
        "low": max(low, 0.0) if math.isfinite(low) else None,
        "high": high if math.isfinite(high) else None,
        "n": len(errors),
        "rmse": math.sqrt(square),
        "r2": 1 - square / variance if variance > 0 else None,
        "unit": unit,
        "how": how,
        "times": found.times,
        "chance": None,
    }


def residual_bound(found: HeldOut) -> Residual:
    """How far 90 % of the held-out answers were off at most, one more counted as beyond (split
    conformal prediction)."""
    errors = np.sort(np.abs(found.residuals))
    place = found.times * math.ceil((found.examples + 1) * COVERAGE) - 1
    return Residual(float(errors[min(place, len(errors) - 1)]), COVERAGE)


def mean_of_support(support: Batch, x: Tensor) -> Tensor:
    """The mean of the support's numbers for every row, [M, 1]."""
    return support.y.mean(0, keepdim=True).expand(len(x), -1)


def ridge_on_raw(support: Batch, x: Tensor) -> Tensor:
    """Ridge regression on the same columns, its penalty picked by leaving one row out; [M, 1]."""
    from sklearn.linear_model import RidgeCV

    fitted = RidgeCV(alphas=PENALTIES).fit(support.x.cpu().numpy(), support.y[:, 0].cpu().numpy())
    return torch.from_numpy(fitted.predict(x.cpu().numpy()))[:, None]
