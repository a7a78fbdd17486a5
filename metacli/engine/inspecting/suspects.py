"""Images whose label looks wrong, by their pixels alone.

No model is asked, so this is a hint and never an error: coarse colours and the directions of edges
are compared, every image is left out of the means and neighbours that judge it, and nothing is
reported where those do not separate the classes.

Shape letters: M images, N classes, D features.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from metacli.data.images import ImageSpec, fit

SIDE = 32  # pixels that edges are taken from
CELLS, BINS = 4, 8  # squares a side, directions of edges
COARSE = 8  # pixels a side for colours
NEIGHBOURS = 3
LEAST = 4  # images of a class, of which the rest are judged by
MOST = 4000  # images: every pair is compared
TELLING = 0.75  # share of images that must be nearest to their own class, or nothing is said


@dataclass(frozen=True)
class Suspect:
    """An image and the class that it looks like."""

    index: int
    label: int
    nearer: int


def describe(pixels: np.ndarray) -> np.ndarray:
    """Features [D] of pixels [H, W] or [H, W, 3]: directions of edges by place, and colours."""
    image = fit(pixels, ImageSpec(3, SIDE, SIDE)).astype(np.float32) / 255
    step = SIDE // COARSE
    colours = image.reshape(3, COARSE, step, COARSE, step).mean((2, 4)).ravel()
    return np.concatenate([edges(image.mean(0)), colours / np.sqrt(len(colours))])


def edges(grey: np.ndarray) -> np.ndarray:
    """A histogram of edge directions, weighed by contrast, in each of CELLS x CELLS squares; of
    length 1 (Dalal and Triggs, CVPR 2005, without overlapping blocks)."""
    down, right = np.gradient(grey)
    strength = np.hypot(down, right)
    direction = (np.arctan2(down, right) % np.pi) / np.pi * BINS
    bins = np.minimum(direction.astype(int), BINS - 1)
    cell = np.arange(SIDE) * CELLS // SIDE
    place = (cell[:, None] * CELLS + cell[None, :]) * BINS + bins
    found = np.bincount(place.ravel(), strength.ravel(), CELLS * CELLS * BINS)
    return found / max(float(np.linalg.norm(found)), 1e-6)


def suspects(x: np.ndarray, y: np.ndarray) -> tuple[list[Suspect], float | None]:
    """The suspects among features [M, D] of labels [M], and the share of images that are nearest
    to the mean of their own class; None where there are too few or too many images to judge.

    An image is suspected when the mean of one other class is nearer than that of its own, and so
    are all of its nearest neighbours.
    """
    counts = np.bincount(y)
    if len(counts) < 2 or counts.min() < LEAST or len(y) > MOST:
        return [], None
    nearest = by_means(x, y, counts)
    telling = float((nearest == y).mean())
    if telling < TELLING:
        return [], telling
    near = y[neighbours(x)]  # [M, NEIGHBOURS]
    wrong = (nearest != y) & (near == nearest[:, None]).all(1)
    return [Suspect(int(i), int(y[i]), int(nearest[i])) for i in np.flatnonzero(wrong)], telling


def by_means(x: np.ndarray, y: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """The class of the nearest mean, [M]; an image's own class is without it."""
    sums = np.zeros((len(counts), x.shape[1]))
    np.add.at(sums, y, x)
    distances = np.stack(
        [((x - total / n) ** 2).sum(1) for total, n in zip(sums, counts, strict=True)], 1
    )
    rest = (sums[y] - x) / (counts[y] - 1)[:, None]
    distances[np.arange(len(y)), y] = ((x - rest) ** 2).sum(1)
    result: np.ndarray = distances.argmin(1)
    return result


def neighbours(x: np.ndarray) -> np.ndarray:
    """Rows of the nearest other images, [M, NEIGHBOURS]."""
    squares = (x**2).sum(1)
    distances = squares[:, None] - 2 * x @ x.T + squares
    np.fill_diagonal(distances, np.inf)
    return np.argpartition(distances, NEIGHBOURS, axis=1)[:, :NEIGHBOURS]
