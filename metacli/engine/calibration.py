"""Probabilities that mean what they say, and when to give no label: both from held-out examples of
the support.

Temperature: C. Guo, G. Pleiss, Y. Sun, K. Weinberger, "On Calibration of Modern Neural Networks",
ICML 2017: softmax(z / T), with the T that makes held-out log loss smallest. Labels do not change.
Targets are smoothed, so that a few examples that are all right do not give certainty: all wrong
labels together have 1 / (2 (n + 1)), the share of mistakes that half a mistake more than were seen
would make (R. Krichevsky, V. Trofimov 1981). Chosen on validation classes of glyphs: a whole
mistake, or one for each label as in J. Platt 1999, makes probabilities of new examples worse than
no temperature at all.

Rejection: an input is none of the classes when its features are farther from the nearest class mean
than those of nineteen in twenty held-out examples of known classes. The largest probability is a
poor sign of the unknown: softmax says nothing of how far away everything is.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from metacli.engine.bundle import Bundle
from metacli.engine.folds import HeldOut, Split
from metacli.nn.problem import Problem
from metacli.types import Batch, Params

ENOUGH = 20  # held-out examples for a temperature
ENOUGH_TO_REJECT = 10
KNOWN = 0.95  # share of known examples that keep their label
LIMITS = (0.05, 20.0)  # of the temperature
MEANS = "reject.means"
ROWS = 64
EXACT = "donot_use_mm_for_euclid_dist"
Answer = Callable[[Batch, Tensor], tuple[Tensor, Tensor]]
"""(support, x of the held-out) -> logits [M, N], distance to the nearest class mean [M]."""


@dataclass(frozen=True)
class Answered:
    """What is said of examples by models that were adapted without them.

    Args:
        logits: [M, N]. nearest: [M]. y: [M].
        sizes: held-out rows of each split.
    """

    logits: np.ndarray
    nearest: np.ndarray
    y: np.ndarray
    sizes: tuple[int, ...]

    def held_out(self) -> HeldOut:
        return HeldOut(softmax(self.logits), self.y, self.sizes)


def softmax(logits: np.ndarray, temperature: float = 1.0) -> np.ndarray:
    """[M, N], in float64."""
    return np.exp(log_softmax(logits, temperature))


def log_softmax(logits: np.ndarray, temperature: float = 1.0) -> np.ndarray:
    scaled = logits.astype(np.float64) / temperature
    scaled -= scaled.max(1, keepdims=True)
    return scaled - np.log(np.exp(scaled).sum(1, keepdims=True))


def answered(answer: Answer, x: Tensor, y: Tensor, splits: Sequence[Split]) -> Answered:
    """Adapt anew for every split and ask about what it holds out."""
    logits, nearest, labels = [], [], []
    for split in splits:
        found = answer(Batch(x[split.support], y[split.support]), x[split.query])
        logits.append(found[0].double().cpu().numpy())
        nearest.append(found[1].double().cpu().numpy())
        labels.append(y[split.query].cpu().numpy())
    sizes = tuple(len(one) for one in labels)
    return Answered(np.concatenate(logits), np.concatenate(nearest), np.concatenate(labels), sizes)


@torch.no_grad()
def class_means(problem: Problem, adapted: Params, support: Batch) -> Tensor:
    """Of the adapted network's features, [N, D]."""
    features = torch.cat([problem.embed(adapted, part) for part in support.x.split(ROWS)])
    labels = range(int(support.y.max()) + 1)
    return torch.stack([features[support.y == label].mean(0) for label in labels])


@torch.no_grad()
def distance(problem: Problem, adapted: Params, means: Tensor, x: Tensor) -> Tensor:
    """From the features of each row to the nearest class mean, [M]."""
    parts = [
        torch.cdist(problem.embed(adapted, part), means, compute_mode=EXACT).min(1).values
        for part in x.split(ROWS)
    ]
    return torch.cat(parts)


def temperature(logits: np.ndarray, y: np.ndarray) -> float:
    """The T with the smallest log loss on smoothed targets: convex in 1/T, by golden section."""
    n, classes = logits.shape
    doubt = 1 / (2 * (n + 1))
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


def learned_from(found: Answered | None) -> dict[str, Any]:
    """What `predict` takes from held-out examples; what there are too few of is left out."""
    known: dict[str, Any] = {}
    if found is None:
        return known
    n = len(found.y)
    if n >= ENOUGH_TO_REJECT:
        limit = float(np.quantile(found.nearest, KNOWN))
        known["reject"] = {"distance": limit, "known": KNOWN, "examples": n}
    if n >= ENOUGH:
        made = temperature(found.logits, found.y)
        known["calibration"] = {
            "temperature": made,
            "examples": n,
            "log_loss": log_loss(found.logits, found.y, made),
            "log_loss_before": log_loss(found.logits, found.y),
        }
    return known


def with_means(model: Bundle, support: Batch) -> Bundle:
    """An adapted model with the class means that a distance is measured from, where it has a
    limit of it."""
    if "reject" not in model.answers:
        return model
    means = class_means(model.problem(), model.params, support)
    return replace(model, params={**model.params, MEANS: means})


def too_far(model: Bundle, x: Tensor) -> Tensor:
    """Which rows are farther from every class than known examples are, bool [M]."""
    found = distance(model.problem(), model.params, model.params[MEANS], x)
    return found > float(model.answers["reject"]["distance"])
