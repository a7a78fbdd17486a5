"""Solids that rays meet: planes, spheres and boxes, each in closed form.

Letters: P rays. A ray is o + s d with d [P, 3] of any length; the camera looks along +z, x is to
the right and y is down, so that the floor is a plane of large y. A hit is the smallest s > `NEAR`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

import numpy as np

NEAR = 1e-6
NOTHING = np.inf  # where a ray meets nothing


class Solid(ABC):
    """A shape in space."""

    @abstractmethod
    def hit(self, origin: np.ndarray, rays: np.ndarray) -> np.ndarray:
        """s of each ray, [P]; `NOTHING` where it passes by. origin: [3] or [P, 3]."""

    @abstractmethod
    def normal(self, points: np.ndarray) -> np.ndarray:
        """Outward unit normals at points of the surface, [P, 3]."""

    @abstractmethod
    def stripes(self, points: np.ndarray) -> np.ndarray:
        """Whether points of the surface lie on a stripe of its paint, bool [P]."""


@dataclass(frozen=True)
class Plane(Solid):
    """The points x with n·x = offset. n points to the camera's side."""

    n: tuple[float, float, float]
    offset: float

    def hit(self, origin: np.ndarray, rays: np.ndarray) -> np.ndarray:
        n = np.array(self.n)
        along = rays @ n
        with np.errstate(divide="ignore", invalid="ignore"):
            s = (self.offset - origin @ n) / along
        return np.where((along != 0) & (s > NEAR), s, NOTHING)

    def normal(self, points: np.ndarray) -> np.ndarray:
        return np.broadcast_to(np.array(self.n), points.shape)

    def stripes(self, points: np.ndarray) -> np.ndarray:
        return np.zeros(len(points), bool)


@dataclass(frozen=True)
class Sphere(Solid):
    """|x - centre| = radius; stripes are rings of `stripe` in height."""

    centre: tuple[float, float, float]
    radius: float
    stripe: float

    def hit(self, origin: np.ndarray, rays: np.ndarray) -> np.ndarray:
        # |o + s d - c|² = r²: a s² + 2 b s + c = 0
        away = origin - np.array(self.centre)
        a = (rays * rays).sum(-1)
        b = (rays * away).sum(-1)
        c = (away * away).sum(-1) - self.radius**2
        inside = b * b - a * c
        root = np.sqrt(np.maximum(inside, 0.0))
        near, far = (-b - root) / a, (-b + root) / a
        s = np.where(near > NEAR, near, far)
        return np.where((inside > 0) & (s > NEAR), s, NOTHING)

    def normal(self, points: np.ndarray) -> np.ndarray:
        found: np.ndarray = (points - np.array(self.centre)) / self.radius
        return found

    def stripes(self, points: np.ndarray) -> np.ndarray:
        return striped(points[:, 1] - self.centre[1] + self.radius, self.stripe)


@dataclass(frozen=True)
class Box(Solid):
    """An axis-parallel box that was turned by `turn` (radians) about the vertical; stripes as of a
    sphere.

    Args:
        half: half of its sides.
    """

    centre: tuple[float, float, float]
    half: tuple[float, float, float]
    turn: float
    stripe: float

    def own(self, vectors: np.ndarray) -> np.ndarray:
        """Directions in the box's own axes."""
        found: np.ndarray = vectors @ self.axes.T
        return found

    @property
    def axes(self) -> np.ndarray:
        """Its unit axes, the rows [3, 3]."""
        cos, sin = np.cos(self.turn), np.sin(self.turn)
        return np.array([[cos, 0.0, -sin], [0.0, 1.0, 0.0], [sin, 0.0, cos]])

    def hit(self, origin: np.ndarray, rays: np.ndarray) -> np.ndarray:
        # Slabs (Kay and Kajiya 1986): the last entry is before the first exit.
        d, o = self.own(rays), self.own(origin - np.array(self.centre))
        half = np.array(self.half)
        with np.errstate(divide="ignore", invalid="ignore"):
            first, second = (-half - o) / d, (half - o) / d
        parallel = d == 0
        outside = parallel & (np.abs(o) > half)
        low = np.where(parallel, -NOTHING, np.minimum(first, second)).max(-1)
        high = np.where(parallel, NOTHING, np.maximum(first, second)).min(-1)
        s = np.where(low > NEAR, low, high)
        return np.where((low <= high) & (s > NEAR) & ~outside.any(-1), s, NOTHING)

    def normal(self, points: np.ndarray) -> np.ndarray:
        own = self.own(points - np.array(self.centre)) / np.array(self.half)
        face = np.abs(own).argmax(-1)
        rows = np.arange(len(points))
        found: np.ndarray = np.sign(own[rows, face])[:, None] * self.axes[face]
        return found

    def stripes(self, points: np.ndarray) -> np.ndarray:
        return striped(points[:, 1] - self.centre[1] + self.half[1], self.stripe)


def striped(height: np.ndarray, width: float) -> np.ndarray:
    """Every second band of that width."""
    found: np.ndarray = np.floor(height / width).astype(np.int64) % 2 == 1
    return found
