"""How good answers for every pixel are, in the measures of NYUv2, and what sharing changes in all
of them together.

    mIoU = mean over classes of |truth ∩ answer| / |truth ∪ answer|, over the pixels of all images
    depth: mean |z - ẑ| and mean |z - ẑ| / z
    normals: the angle between n and n̂ in degrees, its mean and median, and the share of pixels
    within 11.25, 22.5 and 30 degrees (D. Fouhey, A. Gupta, M. Hebert, ICCV 2013)

    Δp = 1/T Σ_t 1/M_t Σ_m (-1)^l (value - alone) / alone,    l = 1 where lower is better

(K. Maninis, I. Radosavovic, I. Kokkinos, CVPR 2019, with the mean over the measures of
a task first, as S. Liu, E. Johns, A. Davison, CVPR 2019, and those after them report it.)
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from metacli.nn.dense.targets import DEPTH, NORMALS, SEGMENTATION

MEASURES: dict[str, dict[str, bool]] = {  # of each task; True where higher is better
    SEGMENTATION: {"miou": True, "pixel_accuracy": True},
    DEPTH: {"abs_error": False, "rel_error": False},
    NORMALS: {
        "mean_angle": False,
        "median_angle": False,
        "within_11": True,
        "within_22": True,
        "within_30": True,
    },
}
WITHIN = {"within_11": 11.25, "within_22": 22.5, "within_30": 30.0}  # degrees
Scores = Mapping[str, Mapping[str, float]]
"""task -> measure -> value."""


@dataclass(frozen=True)
class Pixels:
    """Truth or answers of M images.

    Args:
        labels: whole numbers [M, S, S]. depths: [M, S, S]. normals: unit, [M, 3, S, S].
    """

    labels: np.ndarray
    depths: np.ndarray
    normals: np.ndarray


def dense_scores(truth: Pixels, found: Pixels, classes: int) -> dict[str, dict[str, float]]:
    """Every measure of every task."""
    counts = confusion(truth.labels, found.labels, classes)
    off = np.abs(truth.depths.astype(np.float64) - found.depths)
    angle = angles(truth.normals, found.normals)
    return {
        SEGMENTATION: {
            "miou": mean_iou(counts),
            "pixel_accuracy": float(np.trace(counts) / counts.sum()),
        },
        DEPTH: {
            "abs_error": float(off.mean()),
            "rel_error": float((off / truth.depths).mean()),
        },
        NORMALS: {
            "mean_angle": float(angle.mean()),
            "median_angle": float(np.median(angle)),
            **{name: float((angle < degrees).mean()) for name, degrees in WITHIN.items()},
        },
    }


def confusion(truth: np.ndarray, found: np.ndarray, classes: int) -> np.ndarray:
    """Pixels by true (rows) and answered class, int64 [K, K]."""
    pairs = truth.astype(np.int64).ravel() * classes + found.astype(np.int64).ravel()
    return np.bincount(pairs, minlength=classes * classes).reshape(classes, classes)


def mean_iou(counts: np.ndarray) -> float:
    """Over the classes that are there, in truth or answers."""
    both = np.diag(counts).astype(np.float64)
    either = counts.sum(0) + counts.sum(1) - both
    there = either > 0
    return float((both[there] / either[there]).mean())


def angles(truth: np.ndarray, found: np.ndarray) -> np.ndarray:
    """Degrees between unit vectors [M, 3, S, S]: [M, S, S]."""
    cosine = (truth.astype(np.float64) * found).sum(1)
    result: np.ndarray = np.degrees(np.arccos(np.clip(cosine, -1.0, 1.0)))
    return result


def delta_p(scores: Scores, alone: Scores) -> float:
    """Δp, a fraction: above 0 the tasks are better together."""
    return float(np.mean([task_delta(task, scores[task], alone[task]) for task in MEASURES]))


def task_delta(task: str, scores: Mapping[str, float], alone: Mapping[str, float]) -> float:
    """The mean relative change of a task's measures; not a number where one was 0 alone."""
    changes = [
        (1.0 if higher else -1.0) * relative(scores[name], alone[name])
        for name, higher in MEASURES[task].items()
    ]
    return float(np.mean(changes))


def relative(value: float, alone: float) -> float:
    return (value - alone) / alone if alone else math.nan
