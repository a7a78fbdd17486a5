"""What a network says of an image as files: a class map, depth and normals.

Shape letters: S pixels of a side.
"""

from __future__ import annotations

import io
from dataclasses import dataclass

import numpy as np
from PIL import Image

# RGB of each class in its number's place: colours that those who see no red or green can tell apart
# (M. Okabe, K. Ito, "Color Universal Design", 2008).
COLOURS = (
    *((153, 153, 153), (230, 159, 0), (86, 180, 233), (0, 158, 115)),
    *((240, 228, 66), (0, 114, 178), (213, 94, 0), (204, 121, 167)),
)


@dataclass(frozen=True)
class Maps:
    """What is true, or answered, of every pixel of an image.

    Args:
        labels: uint8 [S, S]. depth: float32 [S, S]. normals: unit, float32 [3, S, S], x to the
            right, y down, z away from the camera.
    """

    labels: np.ndarray
    depth: np.ndarray
    normals: np.ndarray

    @property
    def is_finite(self) -> bool:
        return bool(np.isfinite(self.depth).all() and np.isfinite(self.normals).all())


def coloured(labels: np.ndarray) -> np.ndarray:
    """A class map in its colours, uint8 [3, S, S]."""
    found: np.ndarray = np.array(COLOURS, np.uint8)[labels].transpose(2, 0, 1)
    return found


def shaded(depth: np.ndarray, nearest: float, farthest: float) -> np.ndarray:
    """Depth as grey, uint8 [1, S, S]: 255 at `nearest` and less, 0 at `farthest` and more."""
    span = max(farthest - nearest, 1e-12)
    light = np.clip((farthest - depth.astype(np.float64)) / span, 0.0, 1.0)
    found: np.ndarray = np.rint(255 * light).astype(np.uint8)[None]
    return found


def tinted(normals: np.ndarray) -> np.ndarray:
    """Normals as colours, uint8 [3, S, S]: -1..1 of x, y and z become 0..255 of R, G and B."""
    found: np.ndarray = np.rint(np.clip(127.5 * (normals + 1.0), 0, 255)).astype(np.uint8)
    return found


def class_png(labels: np.ndarray) -> bytes:
    """A palette PNG whose pixels are the classes' numbers."""
    image = Image.fromarray(labels.astype(np.uint8)).convert("L")
    image.putpalette([part for colour in COLOURS for part in colour])
    return png(image)


def depth_png(depth: np.ndarray) -> bytes:
    """Grey, white at the nearest pixel and black at the farthest."""
    return png(Image.fromarray(shaded(depth, float(depth.min()), float(depth.max()))[0]))


def normals_png(normals: np.ndarray) -> bytes:
    """RGB, as `tinted`."""
    return png(Image.fromarray(np.ascontiguousarray(tinted(normals).transpose(1, 2, 0))))


def arrays(found: Maps) -> bytes:
    """The numbers themselves, .npz: `segmentation` uint8 [S, S], `depth` float32 [S, S], `normals`
    float32 [3, S, S]."""
    file = io.BytesIO()
    np.savez_compressed(file, segmentation=found.labels, depth=found.depth, normals=found.normals)
    return file.getvalue()


def png(image: Image.Image) -> bytes:
    file = io.BytesIO()
    image.save(file, format="PNG")
    return file.getvalue()
