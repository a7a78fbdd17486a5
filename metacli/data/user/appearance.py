"""What images look like, as a few numbers: to compare a user's images with those that a model was
trained on, whatever their sizes.

Per image, with grey levels in [0, 1] and their 2nd and 98th percentile as `low` and `high`:

* colourfulness: M of D. Hasler, S. Süsstrunk, "Measuring colourfulness in natural images", Human
  Vision and Electronic Imaging VIII (2003), section 5: √(σ_rg² + σ_yb²) + 0.3 √(μ_rg² + μ_yb²),
  where rg = R - G and yb = (R + G) / 2 - B.
* range: high - low.
* light and dark: shares of the pixels in the upper and the lower quarter of that range. Drawings
  have nearly all of their pixels in one of them, photographs do not: two-tone = light + dark.
  polarity = light - dark is positive for dark ink on light paper, negative for light strokes on
  dark ground.
* texture: mean difference between neighbouring pixels, as a share of the range, after the image is
  brought to 32 x 32 pixels, so that its size does not matter.

The numbers of many images are their medians.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

import numpy as np

from metacli.data.images import ImageSpec, fit
from metacli.data.plain import Plain, Record, number_in, whole_in
from metacli.errors import DataError

SIDE = 32  # pixels, for the texture
LONGEST = 512  # pixels, of what the other measures look at
QUARTER = 0.25
FLAT = 1 / 255  # a smaller range is one level of grey
COLOURFUL = 0.02  # above JPEG's colour noise on grey images; photographs have 0.1 to 0.5
DRAWN = 0.85  # of the pixels in the two outer quarters
PHOTOGRAPHED = 0.75
ONE_SIDED = 0.3  # of polarity, before it counts as ink on paper or its reverse
FAINT = 0.25  # times the recorded range

Aspect = Literal["colour", "grey", "dark-ground", "light-ground", "photograph", "drawing", "faint"]
Kind = Literal["drawing", "photograph", "between"]


@dataclass(frozen=True)
class Appearance:
    """What a sample of images looks like; see this file's first lines.

    Args:
        images: how many were measured.
        height, width: of the images, medians.
    """

    images: int
    colourfulness: float
    polarity: float
    two_tone: float
    range: float
    texture: float
    height: int
    width: int

    @property
    def kind(self) -> Kind:
        """Drawings have two tones, photographs all; None of both where that is not clear."""
        if self.two_tone >= DRAWN:
            return "drawing"
        return "photograph" if self.two_tone < PHOTOGRAPHED else "between"

    def as_dict(self) -> dict[str, Plain]:
        return {
            "images": self.images,
            "colourfulness": round(self.colourfulness, 4),
            "polarity": round(self.polarity, 4),
            "two_tone": round(self.two_tone, 4),
            "range": round(self.range, 4),
            "texture": round(self.texture, 4),
            "height": self.height,
            "width": self.width,
        }

    @classmethod
    def from_dict(cls, value: Record) -> Appearance:
        """Raises ValueError: not what `as_dict` gives."""
        return cls(
            images=whole_in(value, "images"),
            colourfulness=number_in(value, "colourfulness"),
            polarity=number_in(value, "polarity"),
            two_tone=number_in(value, "two_tone"),
            range=number_in(value, "range"),
            texture=number_in(value, "texture"),
            height=whole_in(value, "height"),
            width=whole_in(value, "width"),
        )


def appearance_of(images: Iterable[np.ndarray]) -> Appearance:
    """The appearance of images, each uint8: grey [H, W] or RGB [H, W, 3], as `read_pixels` gives
    them, of any sizes.

    Raises:
        DataError: no image.
    """
    rows = [_measured(one) for one in images]
    if not rows:
        raise DataError("no image to look at", code="data.no_images")
    middle = np.median(np.array(rows), axis=0)
    colourfulness, polarity, two_tone, spread, texture, height, width = map(float, middle)
    return Appearance(
        len(rows), colourfulness, polarity, two_tone, spread, texture, round(height), round(width)
    )


def appearance_of_stack(images: np.ndarray) -> Appearance:
    """The same of uint8 [M, C, H, W], as pools and decoded tasks hold them."""
    return appearance_of(
        one[0] if len(one) == 1 else np.ascontiguousarray(one.transpose(1, 2, 0)) for one in images
    )


def unlike(seen: Appearance, recorded: Appearance) -> tuple[Aspect, ...]:
    """In which respects images differ from those that a model was trained on; () where they fit.

    `colour` and `grey`: these have it, the recorded ones do not. `dark-ground`: light strokes on
    dark ground where the model knows ink on paper; `light-ground` the reverse. `photograph` and
    `drawing`: what these are and the recorded ones are not. `faint`: a far smaller range of grey.
    Sizes are no difference: every model resizes.
    """
    found: list[Aspect] = []
    if seen.colourfulness > COLOURFUL >= recorded.colourfulness:
        found.append("colour")
    if seen.colourfulness <= COLOURFUL < recorded.colourfulness:
        found.append("grey")
    if seen.kind == "photograph" and recorded.kind == "drawing":
        found.append("photograph")
    if seen.kind == "drawing" and recorded.kind == "photograph":
        found.append("drawing")
    if recorded.kind == "drawing" and abs(recorded.polarity) > ONE_SIDED < abs(seen.polarity):
        if seen.polarity < 0 < recorded.polarity:
            found.append("dark-ground")
        if recorded.polarity < 0 < seen.polarity:
            found.append("light-ground")
    if seen.range < FAINT * recorded.range:
        found.append("faint")
    return tuple(found)


def _measured(pixels: np.ndarray) -> tuple[float, ...]:
    step = -(-max(pixels.shape[:2]) // LONGEST)
    thinned = pixels[::step, ::step]  # as many pixels as tell the shares of tones and colours
    grey = _grey(thinned)
    low, high = np.percentile(grey, (2, 98))
    spread = float(high - low)
    light = float((grey >= high - QUARTER * spread).mean()) if spread > FLAT else 0.0
    dark = float((grey <= low + QUARTER * spread).mean()) if spread > FLAT else 0.0
    small = fit(pixels, ImageSpec(1, SIDE, SIDE))[0].astype(np.float64) / 255
    steps = (np.abs(np.diff(small, axis=0)).mean() + np.abs(np.diff(small, axis=1)).mean()) / 2
    texture = float(steps) / max(spread, FLAT)
    height, width = pixels.shape[:2]
    return (_colourfulness(thinned), light - dark, light + dark, spread, texture, height, width)


def _grey(pixels: np.ndarray) -> np.ndarray:
    """Luminance in [0, 1], by the weights of ITU-R BT.601, as Pillow's mode L has them."""
    levels = pixels.astype(np.float64) / 255
    return levels if levels.ndim == 2 else levels @ np.array([0.299, 0.587, 0.114])


def _colourfulness(pixels: np.ndarray) -> float:
    if pixels.ndim == 2:
        return 0.0
    red, green, blue = (pixels[..., channel].astype(np.float64) / 255 for channel in range(3))
    rg, yb = red - green, (red + green) / 2 - blue
    return float(np.hypot(rg.std(), yb.std()) + 0.3 * np.hypot(rg.mean(), yb.mean()))
