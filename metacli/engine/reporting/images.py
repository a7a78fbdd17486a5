"""Pictures as `data:` addresses, so that the page needs no other file."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence

import numpy as np
from PIL import Image

from metacli.engine.reporting.blocks import Picture

GAP = 2  # pixels between the pictures of a strip
LARGEST = 64  # pixels of a side; larger ones are made smaller


def picture(x: np.ndarray, says: str, mark: str = "") -> Picture:
    """One picture of uint8 [C, H, W]."""
    return Picture(uri([x]), says, shown_width(x.shape[-1]), mark)


def strip(pictures: Sequence[np.ndarray], says: str) -> Picture:
    """Several pictures of one shape in a row, as one."""
    width = len(pictures) * shown_width(pictures[0].shape[-1])
    return Picture(uri(pictures), says, width)


def shown_width(pixels: int) -> int:
    """How wide a picture stands on the page: small ones are drawn larger."""
    return min(LARGEST, max(40, pixels))


def uri(pictures: Sequence[np.ndarray]) -> str:
    """PNG of pictures side by side."""
    parts = [as_image(x) for x in pictures]
    width, height = parts[0].size
    if max(width, height) > LARGEST:
        scale = LARGEST / max(width, height)
        width, height = max(1, round(width * scale)), max(1, round(height * scale))
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
    return Image.fromarray(np.ascontiguousarray(x[0] if len(x) == 1 else x.transpose(1, 2, 0)))
