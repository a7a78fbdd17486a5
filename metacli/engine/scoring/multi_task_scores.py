"""How good predictions for many tasks are: one number over all, one for each task, and how sure.

A score comes with the rows' contributions to it (its influence function), so that the interval of
a score, and of a difference between two models on the same rows, is a t interval of their mean:

* `explained_variance`: 1 - Σ SSE / Σ (y - ȳ)² over the rows of all tasks, ȳ their mean. A row's
  part is 1 - e²/s² with s² the variance of y. For one task: `mse`.
* `rmse`: over all rows; a row's part is e² / (2 rmse), by the delta method. For one task: `mse`.
* `nmse`: mean over tasks of SSE / Σ (y - ȳ_t)². For one task: its own.
* `accuracy`: mean over tasks of the share of right answers.
* `mean_score`: mean over tasks of different kinds: of a classification its accuracy, of a
  regression `r2` = 1 - SSE / Σ (y - ȳ_t)².
* `auc`: mean over tasks of the area under the ROC curve; its variance is E. DeLong, D. DeLong, D.
  Clarke-Pearson, Biometrics 44 (1988): a positive's part is the share of negatives below it, a
  negative's the share of positives above it.

Predictions of a task are [M] values or probabilities of class 1, or [M, C] probabilities of
classes; among regressions (`mean_score`) a classification of two classes has [M, 2].
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from metacli.engine.scoring.intervals import Difference, from_t, t_quantile

Rows = Sequence[np.ndarray]
"""One array of values for each task."""

TASK_METRIC = {
    "explained_variance": "mse",
    "rmse": "mse",
    "nmse": "nmse",
    "auc": "auc",
    "accuracy": "accuracy",
}
MIXED = "mean_score"


def own_metric(metric: str, predicted: np.ndarray) -> str:
    """By which one task of the set is judged."""
    if metric == MIXED:
        return "accuracy" if predicted.ndim == 2 else "r2"
    return TASK_METRIC[metric]


@dataclass(frozen=True)
class Score:
    """A value, and independent groups of rows whose means' variances add up to its variance."""

    value: float
    parts: tuple[np.ndarray, ...]

    @property
    def rows(self) -> int:
        return sum(map(len, self.parts))

    def half_width(self) -> float:
        """Of the 95 % interval; infinite for a group of one row."""
        error = standard_error(self.parts)
        freedom = self.rows - len(self.parts)
        return t_quantile(freedom) * error if freedom > 0 else math.inf


def standard_error(parts: Sequence[np.ndarray]) -> float:
    if any(len(part) < 2 for part in parts):
        return math.inf
    return math.sqrt(sum(float(part.var(ddof=1)) / len(part) for part in parts))


def compare(a: Score, b: Score) -> Difference:
    """a - b, with an interval and a p-value of Student's t. Where no two rows disagree about the
    difference it is certain."""
    parts = tuple(x - y for x, y in zip(a.parts, b.parts, strict=True))
    return from_t(a.value - b.value, standard_error(parts) ** 2, a.rows - len(parts))


def score(metric: str, y: Rows, predicted: Rows) -> Score:
    """Over all tasks."""
    if metric in ("nmse", "auc", "accuracy", MIXED):
        each = [task_score(metric, *one) for one in zip(y, predicted, strict=True)]
        known = [one for one in each if math.isfinite(one.value)]
        if not known:
            return Score(math.nan, ())
        value = float(np.mean([one.value for one in known]))
        return Score(value, tuple(part / len(known) for one in known for part in one.parts))
    targets = np.concatenate(list(y))
    squared = (targets - np.concatenate(list(predicted))) ** 2
    if metric == "explained_variance":
        shares = 1 - squared / max(float(targets.var()), 1e-300)
        return Score(float(shares.mean()), (shares,))
    root = math.sqrt(float(squared.mean()))
    return Score(root, (squared / (2 * max(root, 1e-300)),))


def task_score(metric: str, y: np.ndarray, predicted: np.ndarray) -> Score:
    """Of one task, by its `own_metric`."""
    own = own_metric(metric, predicted)
    if not len(y):  # every target of these rows is missing
        return Score(math.nan, (np.zeros(0),))
    if own == "auc":
        return area(y, predicted)
    if own == "accuracy":
        said = predicted.argmax(1) if predicted.ndim == 2 else predicted >= 0.5
        right = (said == y).astype(float)
        return Score(float(right.mean()), (right,))
    squared = (y - predicted) ** 2
    if own in ("nmse", "r2"):
        squared = squared / max(float(y.var()), 1e-300)
    if own == "r2":
        squared = 1 - squared
    return Score(float(squared.mean()), (squared,))


def area(y: np.ndarray, predicted: np.ndarray) -> Score:
    """The area under the ROC curve; NaN where there is one class only."""
    above = predicted[y == 1][:, None] - predicted[y == 0][None, :]
    if above.size == 0:
        return Score(math.nan, (np.zeros(above.shape[0]), np.zeros(above.shape[1])))
    wins = (above > 0) + 0.5 * (above == 0)  # [positives, negatives]
    return Score(float(wins.mean()), (wins.mean(1), wins.mean(0)))


def within(y: Rows, predicted: Rows) -> float:
    """Explained variance of what varies inside the tasks: 1 - Σ SSE / Σ_t Σ (y - ȳ_t)²."""
    errors = sum(float(((a - b) ** 2).sum()) for a, b in zip(y, predicted, strict=True))
    return 1 - errors / sum(float(((one - one.mean()) ** 2).sum()) for one in y)


def mean_r2(y: Rows, predicted: Rows) -> float:
    """The mean over tasks of each task's own R²."""
    found = [
        1 - float(((a - b) ** 2).mean()) / float(a.var())
        for a, b in zip(y, predicted, strict=True)
        if a.var() > 0
    ]
    return float(np.mean(found))
