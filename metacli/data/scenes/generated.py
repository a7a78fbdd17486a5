"""`scenes`: a set of three dense tasks on the same images, generated.

A room (floor and back wall) with two to four spheres and boxes that stand on its floor. The tasks
are those of NYUv2 (N. Silberman et al., ECCV 2012): segmentation, depth and surface normals of
every pixel, here known exactly. Classes: wall, floor, and of a solid its paint, `plain` or
`striped`.

How much the tasks conflict is set by `conflict`, the share of solids whose paint is drawn whatever
their shape is; the others are striped if they are boxes and plain if they are spheres. At 0 the
shape, which depth and normals need, also says the class. At 1 it says nothing about it:
segmentation has to look at stripes and not at shapes, depth and normals at shapes and not at
stripes. The class is painted on the solid in both cases, so it can always be seen.

The generator is version 1: a change of a formula or a fixed number is a new VERSION, which changes
the digest of the data. Image i of a split is the same whatever the number of images is.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from metacli.data.draws import Key, stream, uniforms
from metacli.data.scenes.render import Rendered, Thing, rendered
from metacli.data.scenes.solids import Box, Plane, Solid, Sphere
from metacli.errors import DataError

VERSION = 1
CLASSES = ("wall", "floor", "plain", "striped")
WALL, FLOOR, PLAIN, STRIPED = range(4)
TASKS = ("segmentation", "depth", "normals")
SPLITS = ("train", "val", "test")
HEIGHT, BACK = 1.0, 6.0  # of the camera above the floor; depth of the wall
MOST, WORDS, ROOM = 4, 12, 9  # solids; random words of each, and of the room
STRIPE = 0.16  # width of a stripe
SMALLEST, LARGEST = 16, 128  # pixels


@dataclass(frozen=True)
class SceneOptions:
    """What is generated.

    Args:
        size: pixels of a side. images: for training; val, test: beside these.
        conflict: share of solids whose paint has nothing to do with their shape.
        seed: names the whole set. rows: images of a training step.
    """

    size: int = 32
    images: int = 1000
    val: int = 200
    test: int = 500
    conflict: float = 0.5
    seed: int = 0
    rows: int = 16

    def __post_init__(self) -> None:
        if not SMALLEST <= self.size <= LARGEST or self.size % 8:
            wanted = f"{SMALLEST} to {LARGEST}, a multiple of 8"
            raise DataError(f"size is {self.size}, wanted {wanted}", code="data.option")
        if not 0 <= self.conflict <= 1:
            raise DataError(f"conflict is {self.conflict}, wanted 0 to 1", code="data.option")
        if min(self.images, self.val, self.test, self.rows) < 1:
            raise DataError("images, val, test and rows want 1 or more", code="data.option")

    def count(self, split: str) -> int:
        return {"train": self.images, "val": self.val, "test": self.test}[split]


@dataclass(frozen=True)
class Scenes:
    """The images of a split, M of them, and their truth.

    Args:
        images: uint8 [M, 3, S, S]. labels: uint8 [M, S, S]. depths: float32 [M, S, S]. normals:
            float32 [M, 3, S, S].
    """

    images: np.ndarray
    labels: np.ndarray
    depths: np.ndarray
    normals: np.ndarray

    def __len__(self) -> int:
        return len(self.images)

    @property
    def digest(self) -> str:
        """SHA-256 hex of what can be counted: images and labels."""
        whole = hashlib.sha256(f"scenes {VERSION}".encode())
        whole.update(np.ascontiguousarray(self.images).tobytes())
        whole.update(np.ascontiguousarray(self.labels).tobytes())
        return whole.hexdigest()


def scenes(options: SceneOptions, split: str) -> Scenes:
    """All images of a split: a millisecond or two each."""
    made = [scene(options, split, number) for number in range(options.count(split))]
    return Scenes(
        np.stack([one.image for one in made]),
        np.stack([one.label for one in made]),
        np.stack([one.depth for one in made]),
        np.stack([one.normal for one in made]),
    )


def scene(options: SceneOptions, split: str, number: int) -> Rendered:
    """One image: it depends on nothing but the seed, the split, its number, and the options."""
    key: tuple[Key, ...] = ("scenes", options.seed, split, number)
    draw = Draws(uniforms(stream(*key).random_raw(ROOM + MOST * WORDS)))
    light = unit(np.array([draw.within(-0.8, 0.8), -1.0, draw.within(-1.0, -0.2)]))
    room = [
        Thing(Plane((0.0, 0.0, -1.0), -BACK), WALL, draw.colour(0.55, 0.9)),
        Thing(Plane((0.0, -1.0, 0.0), -HEIGHT), FLOOR, draw.colour(0.4, 0.8)),
    ]
    count = 2 + int(draw.next() * (MOST - 1))
    solids = [solid(draw, options.conflict, column, count) for column in range(count)]
    return rendered([*room, *solids], light, options.size)


class Draws:
    """Uniform numbers, one after the other."""

    def __init__(self, values: np.ndarray) -> None:
        self._values: Iterator[float] = iter(values.tolist())

    def next(self) -> float:
        return next(self._values)

    def within(self, low: float, high: float) -> float:
        return low + (high - low) * self.next()

    def colour(self, low: float, high: float) -> tuple[float, float, float]:
        return (self.within(low, high), self.within(low, high), self.within(low, high))


def solid(draw: Draws, conflict: float, column: int, count: int) -> Thing:
    """A sphere or a box on the floor, in a column of its own from left to right."""
    is_box, free = draw.next() < 0.5, draw.next() < conflict
    striped = draw.next() < 0.5 if free else is_box
    if not free:
        draw.next()  # the same numbers for what follows
    x = (2 * (column + draw.within(0.2, 0.8)) / count - 1) * 1.6
    z, size = draw.within(2.8, 4.8), draw.within(0.32, 0.62)
    turn = draw.within(0.0, np.pi / 2)
    shape: Solid
    if is_box:
        half = (size * 0.85, size * draw.within(0.7, 1.2), size * 0.85)
        shape = Box((x, HEIGHT - half[1], z), half, turn, STRIPE)
    else:
        draw.next()
        shape = Sphere((x, HEIGHT - size, z), size, STRIPE)
    albedo = draw.colour(0.45, 1.0)
    return Thing(shape, STRIPED if striped else PLAIN, albedo, striped)


def unit(vector: np.ndarray) -> np.ndarray:
    found: np.ndarray = vector / np.sqrt((vector * vector).sum())
    return found
