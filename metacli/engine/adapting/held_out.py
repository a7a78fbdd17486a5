"""Predictions on examples that were not adapted on, and what they say: a score with its interval,
and the difference to another model.

Shape letters: M examples, N classes.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from torch import Tensor

from metacli.engine.adapting.choosing.log_loss import SMALLEST, suited
from metacli.engine.adapting.splits import MAX_FOLDS, Split, times_and_rows
from metacli.engine.models.parts import Residual
from metacli.engine.results.adapt import Against, ClassScore, RegressionScore, SimpleScore
from metacli.engine.scoring.intervals import (
    Comparison,
    compared,
    detectable,
    from_t,
    nadeau_bengio,
    paired,
    verdict,
    wilson,
)
from metacli.types import Batch

MIN_FOLDS = 3  # for a verdict
COVERAGE = 0.9  # of the interval around a predicted number
Predict = Callable[[Batch, Tensor], Tensor]
"""(support, x of the held-out) -> probabilities [M, N], or values [M, 1] of a regression."""


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
        """The mean of each example's values, [examples]; some are held out never."""
        if self.rows is None:
            return values
        place = np.unique(self.rows, return_inverse=True)[1]
        return np.bincount(place, values) / self.times

    @property
    def hits(self) -> np.ndarray:
        """1 where the class is right."""
        result: np.ndarray = (self.probabilities.argmax(1) == self.y).astype(float)
        return result

    @property
    def residuals(self) -> np.ndarray:
        """y minus the answer of a regression, in the units of the user; float64, whose squares hold
        units that float32 does not."""
        assert self.unit is not None
        result: np.ndarray = self.unit * (self.y - self.probabilities[:, 0]).astype(np.float64)
        return result

    @property
    def quality(self) -> np.ndarray:
        """Of each example, larger is better: a hit, or minus the absolute error."""
        return self.hits if self.unit is None else -np.abs(self.residuals)


@dataclass(frozen=True)
class OfFolds:
    """Answers that are there already: for what each split holds out, logits or values [M, N]."""

    splits: tuple[Split, ...]
    answers: np.ndarray

    def are_of(self, splits: Sequence[Split]) -> bool:
        """Whether the same rows were held out, and every answer is a number."""
        return (
            len(splits) == len(self.splits)
            and all(
                np.array_equal(a.query, b.query) and np.array_equal(a.support, b.support)
                for a, b in zip(splits, self.splits, strict=True)
            )
            and bool(np.isfinite(self.answers).all())
        )


def held_out(
    predict: Predict, x: Tensor, y: Tensor, splits: Sequence[Split], unit: float | None = None
) -> HeldOut:
    """Adapt again for every split and predict what it holds out."""
    return held_out_before(of_folds(predict, x, y, splits), y, unit)


def of_folds(answer: Predict, x: Tensor, y: Tensor, splits: Sequence[Split]) -> OfFolds:
    """Adapt again for every split and ask about what it holds out."""
    found = []
    for split in splits:
        support = Batch(x[split.support], y[split.support])
        found.append(answer(support, x[split.query]).cpu().numpy())
    return OfFolds(tuple(splits), np.concatenate(found))


def held_out_before(said: OfFolds, y: Tensor, unit: float | None = None) -> HeldOut:
    """With the targets y of all examples."""
    labels = [y[split.query].cpu().numpy().reshape(-1) for split in said.splits]
    y_held, sizes = np.concatenate(labels), tuple(len(one) for one in labels)
    return HeldOut(said.answers, y_held, sizes, unit, *times_and_rows(said.splits))


def score_of(found: HeldOut, how: str, classes: int) -> ClassScore:
    """Accuracy with Wilson's interval, and what counts every class the same."""
    hits, n = float(found.hits.sum()) / found.times, found.examples
    low, high = wilson(hits, n)
    return ClassScore(
        value=hits / n,
        low=low,
        high=high,
        n=n,
        balanced=balanced_accuracy(found),
        macro_f1=macro_f1(found),
        how=how,
        times=found.times,
        chance=1 / classes,
    )


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


def compare(ours: HeldOut, other: HeldOut, name: str, how: str) -> Against:
    """The paired difference to another model on the same held-out examples, and what it says."""
    difference = ours.quality - other.quality
    k = len(ours.sizes) // ours.times
    folds = how.startswith("kfold")
    if folds:
        means = np.array([part.mean() for part in np.split(difference, np.cumsum(ours.sizes)[:-1])])
        delta, low, high = nadeau_bengio(means, 1 / (k - 1))
    else:
        delta, low, high = paired(difference)
    units = len(ours.sizes) if folds else len(difference)
    smallest = detectable(low, high, units - 1)
    found = Comparison(delta, low, high, verdict(low, high, ours.examples), smallest)
    # Half of a support is too unlike all of it: among equally good models two folds, however often
    # they are dealt, find a difference in 8 to 10 % of the tasks (benchmarks/small_folds.py). And
    # three or four splits see next to nothing: not to see is no finding there.
    few = len(ours.sizes) < MAX_FOLDS and found.verdict == "no_difference"
    if folds and (k < MIN_FOLDS or few):
        found = replace(found, verdict="too_few_to_say")
    score = SimpleScore(name, float(abs(other.quality.mean())))
    return Against(score, found, lower_loss(ours, other) if folds and k >= MIN_FOLDS else None)


def lower_loss(ours: HeldOut, other: HeldOut) -> Comparison | None:
    """By how much our log loss is lower on the same examples of several folds; None of numbers.

    Its variance is the sum of the corrected one over folds (`nadeau_bengio`), which knows how much
    training varies, and of that of the mean over examples, of which each counts once. The one over
    folds alone finds a difference among equals too often, both in at most 5 % of the tasks
    (benchmarks/log_loss_null.py; that both count was decided on other draws).
    """
    if ours.unit is not None:
        return None
    splits = len(ours.sizes)
    share = 1 / (splits // ours.times - 1)  # held-out rows for each one that is adapted to
    first, second = (
        suited(np.log(one.probabilities.clip(SMALLEST)), one.y) for one in (ours, other)
    )
    difference = second - first
    means = np.array([part.mean() for part in np.split(difference, np.cumsum(ours.sizes)[:-1])])
    each = ours.by_example(difference)
    over_folds = (1 / splits + share) * float(means.var(ddof=1))
    over_rows = float(each.var(ddof=1)) / len(each)
    found = compared(from_t(float(means.mean()), over_folds + over_rows, splits - 1), ours.examples)
    if splits < MAX_FOLDS and found.verdict == "no_difference":
        return replace(found, verdict="too_few_to_say")
    return found


def score_of_numbers(found: HeldOut, how: str, unit: str | None) -> RegressionScore:
    """Mean absolute error in the user's units with its interval, the root of the mean square, and
    the share of the variance that is explained."""
    errors = found.by_example(np.abs(found.residuals))
    mean, low, high = paired(errors)
    assert found.unit is not None
    variance = float((found.unit * found.y.astype(np.float64)).var())
    square = float((found.residuals**2).mean())
    return RegressionScore(
        value=mean,
        low=max(low, 0.0) if math.isfinite(low) else None,
        high=high if math.isfinite(high) else None,
        n=len(errors),
        rmse=math.sqrt(square),
        r2=1 - square / variance if variance > 0 else None,
        unit=unit,
        how=how,
        times=found.times,
    )


def residual_bound(found: HeldOut, *, by_split: bool = False) -> Residual:
    """How far 90 % of the held-out answers were off at most, one more counted as beyond (split
    conformal prediction).

    Args:
        by_split: the largest of the splits' own bounds: rows that follow each other err alike, so
            a block of them is no more than one observation.
    """
    errors = np.abs(found.residuals)
    if by_split:
        parts = np.split(errors, np.cumsum(found.sizes)[:-1])
        return Residual(max(bound(one, len(one)) for one in parts), COVERAGE)
    return Residual(bound(errors, found.examples, found.times), COVERAGE)


def bound(errors: np.ndarray, examples: int, times: int = 1) -> float:
    """The conformal quantile of errors of so many examples, each of them there `times` times."""
    place = times * math.ceil((examples + 1) * COVERAGE) - 1
    return float(np.sort(errors)[min(place, len(errors) - 1)])
