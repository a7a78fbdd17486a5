"""Styles of drawings: the same characters turned, inverted, thicker or thinner, or with noise.

A style is a task of a set: its images all go through the same turn, the same change of ink and the
same width of strokes, and noise of the same strength, drawn for each image. Images are dark ink (0)
on light paper (255).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

STROKES = (-1, 0, 1)  # thinner, as drawn, thicker
NOISES = (0.0, 0.15, 0.3)  # share of the pixels that are a random grey
COUNT = 4 * 2 * len(STROKES) * len(NOISES)
PLAIN = 0


@dataclass(frozen=True)
class Style:
    """One style.

    Args:
        turns: quarter turns, counter-clockwise. inverted: light ink on dark paper.
        stroke: of `STROKES`. noise: share of the pixels that are replaced by a random grey.
    """

    turns: int = 0
    inverted: bool = False
    stroke: int = 0
    noise: float = 0.0

    @property
    def name(self) -> str:
        """Such as `turn-90-inverted-thick-noise-15`."""
        width = {-1: "thin", 0: "", 1: "thick"}[self.stroke]
        noise = f"noise-{round(100 * self.noise)}" if self.noise else ""
        parts = [f"turn-{90 * self.turns}", "inverted" if self.inverted else "", width, noise]
        return "-".join(part for part in parts if part)


def style(number: int) -> Style:
    """The style of a number below `COUNT`; 0 is the drawing as it is."""
    number, turns = divmod(number, 4)
    number, inverted = divmod(number, 2)
    noise, stroke = divmod(number, len(STROKES))
    width = (0, 1, -1)[stroke]
    return Style(turns, bool(inverted), width, NOISES[noise])


def in_style(images: np.ndarray, wanted: Style, pixels: np.ndarray) -> np.ndarray:
    """Images [..., H, W] uint8 in a style.

    Args:
        pixels: random numbers in [0, 1), [..., H, W, 2]: whether a pixel is noise, and its grey;
            not read where the style has no noise.
    """
    found = np.rot90(images, wanted.turns, axes=(-2, -1))
    if wanted.stroke > 0:
        found = neighbours(found, np.minimum, "around")
    elif wanted.stroke < 0:
        found = neighbours(found, np.maximum, "after")
    if wanted.inverted:
        found = 255 - found
    if wanted.noise:
        grey = np.floor(256 * pixels[..., 1]).astype(np.uint8)
        found = np.where(pixels[..., 0] < wanted.noise, grey, found)
    return np.ascontiguousarray(found)


def neighbours(images: np.ndarray, choose: np.ufunc, where: str) -> np.ndarray:
    """The darkest (or lightest) of each pixel and its neighbours in a row and a column: those
    `around` it, or those `after` it, which changes strokes by one pixel only."""
    found = images
    for axis in (-2, -1):
        padded = np.pad(found, [(0, 0)] * (found.ndim - 2) + [(1, 1), (1, 1)], mode="edge")
        size = found.shape[axis]
        cut = [slice(None)] * (found.ndim - 2) + [slice(1, -1), slice(1, -1)]
        shifted = []
        for start in (0, 1, 2) if where == "around" else (1, 2):
            cut[axis] = slice(start, start + size)
            shifted.append(padded[tuple(cut)])
        found = choose.reduce(shifted)
    return found
