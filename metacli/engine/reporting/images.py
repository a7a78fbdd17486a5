"""Images as `data:` addresses, so that the page needs no other file."""

from __future__ import annotations

import base64
import io
import math
from collections.abc import Sequence

import numpy as np
from PIL import Image

from metacli.engine.reporting.blocks import Image as Shown

GAP = 2  # pixels between the images of a strip
SMALLEST = 64  # pixels of the page; what has fewer is drawn larger, by a whole number
LARGEST = 96  # pixels of a side; what has more is made smaller


def shown(x: np.ndarray, says: str, mark: str = "") -> Shown:
    """One image of uint8 [C, H, W]."""
    return Shown(uri([x]), says, shown_width(x), mark)


def strip(images: Sequence[np.ndarray], says: str) -> Shown:
    """Several images of one shape in a row, as one."""
    first = images[0]
    times = shown_width(first) / stored_size(first)[0]
    gaps = GAP * (len(images) - 1)
    return Shown(uri(images), says, round(times * (len(images) * stored_size(first)[0] + gaps)))


def stored_size(x: np.ndarray) -> tuple[int, int]:
    """Width and height of the PNG of [C, H, W]."""
    height, width = x.shape[-2:]
    scale = min(1.0, LARGEST / max(width, height))
    return max(1, round(width * scale)), max(1, round(height * scale))


def shown_width(x: np.ndarray) -> int:
    """How wide an image stands on the page: large enough to be seen."""
    width, height = stored_size(x)
    return width * math.ceil(SMALLEST / max(width, height))


def uri(images: Sequence[np.ndarray]) -> str:
    """PNG of images side by side."""
    width, height = stored_size(images[0])
    parts = [as_image(x) for x in images]
    if parts[0].size != (width, height):
        parts = [part.resize((width, height), Image.Resampling.LANCZOS) for part in parts]
    whole = Image.new("RGBA", ((width + GAP) * len(parts) - GAP, height))
    for number, part in enumerate(parts):
        whole.paste(part.convert("RGBA"), (number * (width + GAP), 0))
    if len(parts) == 1:
        whole = parts[0]
    file = io.BytesIO()
    whole.save(file, format="PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(file.getvalue()).decode("ascii")


def as_image(x: np.ndarray) -> Image.Image:
    """Of uint8 [C, H, W]."""
    return Image.fromarray(np.ascontiguousarray(x[0] if len(x) == 1 else x.transpose(1, 2, 0)))
