"""How sure Δp is: a bootstrap over the images that it is measured on.

The measures are of all pixels together, so that Δp is no mean over images: images are drawn with
replacement, the same for both networks, and everything is computed again. The interval says what
other images would give of the same networks; what another training would give it does not say.

Letters: M images, P pixels of an image, K classes, R resamples.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from metacli.data.draws import integers, stream
from metacli.engine.results.dense import Change
from metacli.engine.scoring.dense_measures import (
    MEASURES,
    WITHIN,
    Pixels,
    Scores,
    angles,
    confusion,
    delta_p,
    mean_iou,
    task_delta,
)
from metacli.nn.dense.targets import DEPTH, NORMALS, SEGMENTATION

RESAMPLES = 500
ENDS = (2.5, 97.5)  # percentiles


@dataclass(frozen=True)
class ByImage:
    """What every measure is made of, image by image.

    Args:
        counts: [M, K, K] of true and answered classes. off, relative: sums of the depth's errors,
            [M]. angle: sums of angles, [M]. within: pixels below each limit, [M, 3].
        sorted_angles: of all pixels, [M * P]. owners: the image of each of them.
    """

    counts: np.ndarray
    off: np.ndarray
    relative: np.ndarray
    angle: np.ndarray
    within: np.ndarray
    sorted_angles: np.ndarray
    owners: np.ndarray

    @classmethod
    def of(cls, truth: Pixels, found: Pixels, classes: int) -> ByImage:
        pairs = zip(truth.labels, found.labels, strict=True)
        off = np.abs(truth.depths.astype(np.float64) - found.depths)
        angle = angles(truth.normals, found.normals)
        flat = angle.reshape(len(angle), -1)
        order = np.argsort(flat, axis=None, kind="stable")
        return cls(
            np.stack([confusion(a, b, classes) for a, b in pairs]),
            off.sum((1, 2)),
            (off / truth.depths).sum((1, 2)),
            flat.sum(1),
            np.stack([(flat < limit).sum(1) for limit in WITHIN.values()], 1),
            flat.ravel()[order],
            order // flat.shape[1],
        )

    def scores(self, times: np.ndarray) -> Scores:
        """Every measure where image m counts `times[m]` times, whole numbers [M]."""
        pixels = len(self.owners) // len(times) * int(times.sum())
        counts = np.tensordot(times, self.counts, 1)
        reached = np.cumsum(times[self.owners])
        middle = [(pixels + 1) // 2, pixels // 2 + 1]  # the same one of an odd number
        median = self.sorted_angles[np.searchsorted(reached, middle)].mean()
        shares = times @ self.within / pixels
        return {
            SEGMENTATION: {
                "miou": mean_iou(counts),
                "pixel_accuracy": float(np.trace(counts) / counts.sum()),
            },
            DEPTH: {
                "abs_error": float(times @ self.off / pixels),
                "rel_error": float(times @ self.relative / pixels),
            },
            NORMALS: {
                "mean_angle": float(times @ self.angle / pixels),
                "median_angle": float(median),
                **dict(zip(WITHIN, shares.tolist(), strict=True)),
            },
        }


@dataclass(frozen=True)
class Changes:
    """Δp over all tasks, and of each."""

    together: Change
    tasks: Mapping[str, Change]


def changes(truth: Pixels, mine: Pixels, alone: Pixels, classes: int) -> Changes:
    """Δp of a network against the networks apart, with 95 % percentile intervals."""
    own, other = (ByImage.of(truth, one, classes) for one in (mine, alone))
    images = len(truth.labels)
    whole = np.ones(images, np.int64)
    drawn = [(own.scores(times), other.scores(times)) for times in resamples(images)]
    a, b = own.scores(whole), other.scores(whole)
    tasks = {
        task: change(
            task_delta(task, a[task], b[task]),
            [task_delta(task, one[task], two[task]) for one, two in drawn],
        )
        for task in MEASURES
    }
    return Changes(change(delta_p(a, b), [delta_p(one, two) for one, two in drawn]), tasks)


def resamples(images: int) -> Iterator[np.ndarray]:
    """How often each image is drawn, [M], R times; always the same."""
    words = stream("dense-bootstrap", images).random_raw(RESAMPLES * images)
    for rows in integers(words, images).astype(np.int64).reshape(RESAMPLES, images):
        yield np.bincount(rows, minlength=images)


def change(value: float, drawn: list[float]) -> Change:
    """With its interval, where every resample has a value."""
    if not np.isfinite(drawn).all():
        return Change(value, None)
    low, high = np.percentile(drawn, ENDS).tolist()
    return Change(value, (low, high))
