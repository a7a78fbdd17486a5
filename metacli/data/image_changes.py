"""What may be done to a user's images before a model sees them, so that they look like those that
it learned from: grey, contrast, inversion. An exported file's example does the same."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, get_args

import numpy as np
from PIL import Image

Change = Literal["grey", "contrast", "invert"]
CHANGES: tuple[Change, ...] = get_args(Change)
"""In the order in which they are made."""
ENDS = 0.5, 99.5  # percentiles of an image's values that become 0 and 255
IN_WORDS: dict[Change, str] = {
    "grey": "made grey",
    "contrast": "their contrast stretched",
    "invert": "inverted",
}


def changed(pixels: np.ndarray, changes: Sequence[Change]) -> np.ndarray:
    """Pixels [H, W] or [H, W, 3], uint8, after these changes; grey ones are [H, W].

    `contrast` brings the 0.5th percentile of all values of the image to 0 and the 99.5th to 255;
    an image of one value stays as it is. `invert` is 255 - value.
    """
    if "grey" in changes and pixels.ndim == 3:
        pixels = np.asarray(Image.fromarray(pixels).convert("L"))
    if "contrast" in changes:
        low, high = np.percentile(pixels, ENDS)
        if high > low:
            stretched = (pixels - low) * (255 / (high - low))
            pixels = np.rint(np.clip(stretched, 0, 255)).astype(np.uint8)
    return 255 - pixels if "invert" in changes else pixels


def in_words(changes: Sequence[Change]) -> str:
    """`made grey and inverted`; `as they are` for none."""
    return " and ".join(IN_WORDS[one] for one in CHANGES if one in changes) or "as they are"
