"""Images of training episodes changed by draws of their own, the same on every machine.

The arithmetic is on whole numbers: what a library interpolates in floating point differs in its
last digits between processors, and an episode must not.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch

from metacli.data.draws import Key, integers, stream
from metacli.types import Batch, Episode

UNIT = 1 << 12
"""What 1 is in the entries of a map; a place on an image then counts in 2 * UNIT a pixel."""
FINE = 1 << 8
"""Into how many parts a pixel is divided by interpolation."""

Change = Callable[[np.ndarray, np.ndarray], np.ndarray]
"""(images [M, C, H, W], a draw for each) -> the images changed."""


@dataclass(frozen=True)
class Augmentation:
    """Changes every image of an episode.

    Args:
        shift: moved by up to so many pixels, by its own number to the side and down.
        warp: mapped about its centre by I + W, each entry of the 2 x 2 matrix W drawn uniformly
            from -warp to warp: all of a turn, a shear and other width and height in one, as the
            affine distortions of G. Koch et al. 2015; interpolated between the four neighbours.
            0.2 turns by up to 11 degrees and resizes by up to a fifth.
        seed: names the stream of draws, with the number of the episode.

    What becomes free at a border is filled by drawing the border out. Images are warped first.
    """

    shift: int
    warp: float
    seed: tuple[Key, ...]

    def __bool__(self) -> bool:
        return bool(self.shift or self.warp)

    def of(self, index: int, episode: Episode) -> Episode:
        """Episode `index` with other images [M, C, H, W] uint8, of the same shape."""
        support, query = episode
        if self.warp:
            maps = self._maps(index, len(support.x) + len(query.x))
            support, query = changed(support, query, maps, warped)
        if self.shift:
            moves = self._moves(index, len(support.x) + len(query.x))
            support, query = changed(support, query, moves, self._moved)
        return Episode(support, query)

    def _maps(self, index: int, count: int) -> np.ndarray:
        """int64 [count, 2, 2], in UNIT."""
        most = round(self.warp * UNIT)
        words = stream(self.seed, index, "warp").random_raw(4 * count)
        entries = integers(words, 2 * most + 1).astype(np.int64).reshape(count, 2, 2) - most
        return entries + UNIT * np.eye(2, dtype=np.int64)

    def _moves(self, index: int, count: int) -> np.ndarray:
        """int64 [count, 2], where an image begins in itself with a border of `shift` pixels."""
        words = stream(self.seed, index, "shift").random_raw(2 * count)
        return integers(words, 2 * self.shift + 1).astype(np.int64).reshape(count, 2)

    def _moved(self, x: np.ndarray, moves: np.ndarray) -> np.ndarray:
        """Each image [C, H, W] cut out of itself with a wider border, at its own place."""
        border = (self.shift, self.shift)
        wide = np.pad(x, ((0, 0), (0, 0), border, border), mode="edge")
        cuts = np.lib.stride_tricks.sliding_window_view(wide, x.shape[-2:], axis=(2, 3))
        found: np.ndarray = cuts[np.arange(len(x)), :, moves[:, 0], moves[:, 1]].copy()
        return found


def changed(support: Batch, query: Batch, draws: np.ndarray, change: Change) -> tuple[Batch, Batch]:
    """Both batches by draws of their own."""
    parts = zip((support, query), np.split(draws, [len(support.x)]), strict=True)
    first, second = (
        part._replace(x=torch.from_numpy(change(part.x.numpy(), own))) for part, own in parts
    )
    return first, second


def warped(x: np.ndarray, maps: np.ndarray) -> np.ndarray:
    """Each image [C, H, W] read where its map sends the places of its pixels: [M, C, H, W]."""
    height, width = x.shape[-2:]
    down = 2 * np.arange(height)[:, None] - (height - 1)  # half pixels from the centre
    right = 2 * np.arange(width) - (width - 1)
    first, second = (
        maps[:, row, 0, None, None] * down + maps[:, row, 1, None, None] * right for row in (0, 1)
    )
    above, below, low = neighbours(first, height)  # [M, H, W]
    left, beside, near = neighbours(second, width)
    images = np.arange(len(x))[:, None, None]
    pixels = x.transpose(0, 2, 3, 1).astype(np.int64)  # [M, H, W, C]
    low, near = low[..., None], near[..., None]
    upper = (FINE - near) * pixels[images, above, left] + near * pixels[images, above, beside]
    lower = (FINE - near) * pixels[images, below, left] + near * pixels[images, below, beside]
    total = (FINE - low) * upper + low * lower
    found = (total + FINE * FINE // 2) // (FINE * FINE)
    return np.ascontiguousarray(found.transpose(0, 3, 1, 2).astype(np.uint8))


def neighbours(places: np.ndarray, size: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The pixel before each place and the one behind it, and how far it is between them, in FINE.
    Places count from the centre, 2 * UNIT a pixel; those beyond a border are on it."""
    counted = np.clip(places + (size - 1) * UNIT, 0, 2 * UNIT * (size - 1))
    before = np.minimum(counted // (2 * UNIT), max(size - 2, 0))
    return (
        before,
        np.minimum(before + 1, size - 1),
        (counted - 2 * UNIT * before) * FINE // (2 * UNIT),
    )
