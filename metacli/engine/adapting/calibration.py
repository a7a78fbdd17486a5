"""Probabilities that mean what they say, and when to give no label: both from held-out examples of
the support.

Temperature: C. Guo, G. Pleiss, Y. Sun, K. Weinberger, "On Calibration of Modern Neural Networks",
ICML 2017: softmax(z / T), with the T that makes held-out log loss smallest. Labels do not change.
Targets are smoothed, so that a few examples that are all right do not give certainty: all wrong
labels together have 1 / (2 (n + 1)), the share of mistakes that half a mistake more than were seen
would make (R. Krichevsky, V. Trofimov 1981). Chosen on validation classes of glyphs: a whole
mistake, or one for each label as in J. Platt 1999, makes probabilities of new examples worse than
no temperature at all.

It takes mistakes to learn a temperature from: without two of them T would be the doubt alone.

Rejection: an input is none of the classes when its largest logit is below a limit: D. Hendrycks et
al., "Scaling Out-of-Distribution Detection for Real-World Settings", ICML 2022 (MaxLogit). For
prototypes it is the distance to the nearest one. The largest probability is a poorer sign of the
unknown: softmax says nothing of how far away everything is.

The limit is at most what nineteen in twenty held-out examples of known classes reach. That alone is
too strict where examples are few or much alike, as lines that differ in a word are: what comes
later differs more. How unlike the unknown is, the other classes tell: to them a held-out example is
one. Where nineteen in twenty of its largest logits among the other classes stay below the limit,
there is a gap, and the limit is moved to its middle. Chosen on validation classes of glyphs,
Omniglot and CLINC150, at 2 to 10 ways and 2 to 10 examples (benchmarks/reject.py).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from torch import Tensor

from metacli.engine.adapting.held_out import HeldOut, OfFolds
from metacli.engine.adapting.splits import times_and_rows
from metacli.engine.models.parts import Calibration, Confidence, Rejection
from metacli.engine.predicting.limits import ENOUGH_TO_REJECT
from metacli.types import Batch

ENOUGH = 20  # held-out examples for a temperature
MISTAKES = 2  # among them
KNOWN = 0.95  # share of known examples that keep their label at least
LIMITS = (0.05, 20.0)  # of the temperature
EXACT = "donot_use_mm_for_euclid_dist"
Answer = Callable[[Batch, Tensor], Tensor]
"""(support, x of the held-out) -> logits [M, N]."""


@dataclass(frozen=True)
class Answered:
    """What is said of examples by models that were adapted without them.

    Args:
        logits: [M, N]. y: [M].
        sizes: held-out rows of each split.
        times: and `rows`, as of `HeldOut`.
    """

    logits: np.ndarray
    y: np.ndarray
    sizes: tuple[int, ...]
    times: int = 1
    rows: np.ndarray | None = None

    @property
    def examples(self) -> int:
        """Different ones."""
        return len(self.y) // self.times

    def held_out(self) -> HeldOut:
        return HeldOut(softmax(self.logits), self.y, self.sizes, None, self.times, self.rows)


def softmax(logits: np.ndarray, temperature: float = 1.0) -> np.ndarray:
    """[M, N], in float64."""
    result: np.ndarray = np.exp(log_softmax(logits, temperature))
    return result


def log_softmax(logits: np.ndarray, temperature: float = 1.0) -> np.ndarray:
    scaled = logits.astype(np.float64) / temperature
    scaled -= scaled.max(1, keepdims=True)
    result: np.ndarray = scaled - np.log(np.exp(scaled).sum(1, keepdims=True))
    return result


def answered(said: OfFolds, y: Tensor) -> Answered:
    """With the labels y of all examples."""
    labels = [y[split.query].cpu().numpy() for split in said.splits]
    sizes = tuple(len(one) for one in labels)
    times, rows = times_and_rows(said.splits)
    logits = said.answers.astype(np.float64)
    return Answered(logits, np.concatenate(labels), sizes, times, rows)


def temperature(logits: np.ndarray, y: np.ndarray, examples: int) -> float:
    """The T with the smallest log loss on smoothed targets: convex in 1/T, by golden section.

    Args:
        examples: different ones among the rows.
    """
    n, classes = logits.shape
    doubt = 1 / (2 * (examples + 1))
    targets = np.full((n, classes), doubt / (classes - 1))
    targets[np.arange(n), y] = 1 - doubt

    def loss(log_t: float) -> float:
        return -float((targets * log_softmax(logits, float(np.exp(log_t)))).sum())

    low, high = np.log(LIMITS)
    golden = (np.sqrt(5) - 1) / 2
    a, b = high - golden * (high - low), low + golden * (high - low)
    at_a, at_b = loss(a), loss(b)
    for _ in range(60):
        if at_a <= at_b:
            high, b, at_b = b, a, at_a
            a = high - golden * (high - low)
            at_a = loss(a)
        else:
            low, a, at_a = a, b, at_b
            b = low + golden * (high - low)
            at_b = loss(b)
    return float(np.exp((low + high) / 2))


def log_loss(logits: np.ndarray, y: np.ndarray, temperature: float = 1.0) -> float:
    """Mean of -log p(right)."""
    return -float(log_softmax(logits, temperature)[np.arange(len(y)), y].mean())


def learned_from(found: Answered) -> Confidence:
    """What `predict` takes from held-out examples; what there are too few of is left out."""
    n = found.examples
    limit = Rejection(limit_of(found), KNOWN, n) if n >= ENOUGH_TO_REJECT else None
    if n < ENOUGH or mistakes(found) < MISTAKES:
        return Confidence(reject=limit)
    made = temperature(found.logits, found.y, n)
    before, after = log_loss(found.logits, found.y), log_loss(found.logits, found.y, made)
    return Confidence(Calibration(made, n, after, before), limit)


def limit_of(found: Answered) -> float:
    """The largest logit below which an input is none of the classes."""
    known = float(np.quantile(found.logits.max(1), 1 - KNOWN))
    others = found.logits.copy()
    others[np.arange(len(found.y)), found.y] = -np.inf
    unlike = float(np.quantile(others.max(1), KNOWN))
    return min(known, (known + unlike) / 2)


def mistakes(found: Answered) -> float:
    """Of examples; one that is mistaken every other time is half a mistake."""
    return float((found.logits.argmax(1) != found.y).sum()) / found.times
