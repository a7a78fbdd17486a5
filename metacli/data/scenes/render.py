"""Casting rays: an image of solids under one light, and what is true of every pixel.

A pixel (row i, column j) of S x S looks along d = ((j + 1/2) / S - 1/2, (i + 1/2) / S - 1/2, f) /
f, so that s of the ray o + s d is the depth z. Light: Lambert, I = albedo (ambient + (1 - ambient)
max(0, n·l)), without the second part where another solid lies between the point and the light.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from metacli.data.scenes.solids import NOTHING, Solid

FOCAL = 0.9  # in widths of the image: 58 degrees from side to side
AMBIENT = 0.35
LIFT = 1e-4  # from the surface, of rays to the light: it would shade itself
DARK = 0.35  # what a stripe leaves of the albedo


@dataclass(frozen=True)
class Thing:
    """A solid with its paint.

    Args:
        label: its class. albedo: RGB in 0..1. striped: whether stripes are painted on it.
    """

    solid: Solid
    label: int
    albedo: tuple[float, float, float]
    striped: bool = False


@dataclass(frozen=True)
class Rendered:
    """One image and its truth.

    Args:
        image: uint8 [3, S, S]. label: uint8 [S, S]. depth: z, float32 [S, S]. normal: float32
            [3, S, S], unit, towards the camera.
    """

    image: np.ndarray
    label: np.ndarray
    depth: np.ndarray
    normal: np.ndarray


def rays_of(size: int) -> np.ndarray:
    """d of each pixel, float64 [S * S, 3], row by row; d_z = 1."""
    at = (np.arange(size) + 0.5) / size - 0.5
    x, y = np.meshgrid(at / FOCAL, at / FOCAL)
    return np.stack([x.ravel(), y.ravel(), np.ones(size * size)], 1)


def rendered(things: Sequence[Thing], light: np.ndarray, size: int) -> Rendered:
    """What the camera at the origin sees.

    Args:
        things: something has to be behind every pixel, such as a wall. light: the unit vector to
        it.
    """
    rays, origin = rays_of(size), np.zeros(3)
    depths = np.stack([one.solid.hit(origin, rays) for one in things])
    nearest, depth = depths.argmin(0), depths.min(0)
    assert np.isfinite(depth).all()  # of the caller
    points = rays * depth[:, None]
    label, normal = np.zeros(len(rays), np.uint8), np.zeros((len(rays), 3))
    albedo = np.zeros((len(rays), 3))
    for number, thing in enumerate(things):
        mine = nearest == number
        label[mine], normal[mine] = thing.label, thing.solid.normal(points[mine])
        dark = thing.solid.stripes(points[mine]) if thing.striped else np.zeros(mine.sum(), bool)
        albedo[mine] = np.array(thing.albedo) * np.where(dark, DARK, 1.0)[:, None]
    facing = np.maximum(0.0, normal @ light) * ~shadowed(things, points + LIFT * normal, light)
    bright = albedo * (AMBIENT + (1 - AMBIENT) * facing)[:, None]
    shape = (size, size)
    return Rendered(
        image=np.rint(255 * bright).astype(np.uint8).T.reshape(3, *shape),
        label=label.reshape(shape),
        depth=depth.astype(np.float32).reshape(shape),
        normal=normal.astype(np.float32).T.reshape(3, *shape),
    )


def shadowed(things: Sequence[Thing], points: np.ndarray, light: np.ndarray) -> np.ndarray:
    """Whether a solid lies between each point and the light, which is far away, bool [P]."""
    rays = np.broadcast_to(light, points.shape)
    hits = np.stack([one.solid.hit(points, rays) for one in things])
    found: np.ndarray = hits.min(0) < NOTHING
    return found
