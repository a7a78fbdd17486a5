"""Glyphs: invented alphabets, drawn by invented hands; images for everyone, without a download.

60 alphabets of 20 to 24 characters. A character is two to four pen strokes in the manner of its
alphabet; each of 20 hands draws it with its own slant, scale, place and shake: 28x28, dark ink on
light paper, antialiased. Alphabets are disjoint between the splits: 38 train, 10 val, 12 test.

Only + - * / and square roots of float32 and float64 are used, in a fixed order: IEEE 754 rounds
these the same everywhere, so the pixels are the same on every machine.

Letters: C characters of an alphabet, H hands, S strokes, M images, T points of a stroke.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from metacli.data.cache.store import (
    Report,
    Stored,
    locked,
    read_stored,
    replacing,
    silent,
    write_stored,
)
from metacli.data.draws import stream, uniforms
from metacli.data.few_shot.pools import Pool, check_split, make_pool
from metacli.errors import DataError

ALPHABETS = {"train": range(38), "val": range(38, 48), "test": range(48, 60)}
FEWEST, MOST = 20, 24  # characters of an alphabet
HANDS = 20
STROKES = 4  # at most
POINTS = 28  # per stroke
SIDE = 28
VERSION = 2  # raise it when an image changes

# What a hand may change. Strong enough that an image's nearest neighbour by pixels is often
# another character: on test episodes of 5 ways and 1 shot it is right for about three in ten.
STROKE_SHAKE = 0.07  # of a stroke as a whole, where a character's half side is 1
POINT_SHAKE = 0.06  # of each control point
TURN = 0.2  # tangent of half the largest angle: 23 degrees
SLANT = 0.3
SCALE = (5.5, 8.5)  # half the width and the height of a character, in pixels, drawn one by one
SHIFT = 5.0  # pixels to any side
RADIUS = (0.75, 1.35)  # of the pen, in pixels
SLIMMEST = 0.6  # least ratio of a character's sides


@dataclass(frozen=True)
class GlyphOptions:
    """Args: seed: which set of alphabets, 0 or more."""

    seed: int = 0

    def __post_init__(self) -> None:
        if self.seed < 0:
            raise DataError(f"glyphs: seed is {self.seed}; wanted 0 or more")


class _Numbers:
    """Uniform numbers of one alphabet, in the order in which they are asked for."""

    def __init__(self, seed: int, alphabet: int) -> None:
        self._words = stream("glyphs", VERSION, seed, alphabet)

    def between(self, low: float, high: float, *shape: int) -> np.ndarray:
        count = int(np.prod(shape, dtype=np.int64))
        return low + (high - low) * uniforms(self._words.random_raw(count)).reshape(shape)

    def about_zero(self, spread: float, *shape: int) -> np.ndarray:
        """A bell of three uniforms with standard deviation `spread`, never beyond 3 of them."""
        three = self.between(-1.0, 1.0, 3, *shape)
        result: np.ndarray = spread * (three[0] + three[1] + three[2])
        return result


def draw_alphabet(seed: int, alphabet: int) -> np.ndarray:
    """All images of an alphabet: [C, H, 28, 28] uint8, ink 0 on paper 255."""
    numbers = _Numbers(seed, alphabet)
    characters = FEWEST + int(numbers.between(0, MOST - FEWEST + 1, 1)[0])
    controls, counts = _characters(numbers, characters)
    drawn = _hands(numbers, controls, counts)
    radius = numbers.between(*RADIUS, characters * HANDS)
    images = _render(_points(drawn), radius)
    return images.reshape(characters, HANDS, SIDE, SIDE)


def _characters(numbers: _Numbers, C: int) -> tuple[np.ndarray, np.ndarray]:
    """Control points [C, S, 4, 2] of cubic strokes within -1..1, and strokes per character [C]."""
    fewest = int(numbers.between(2, 4, 1)[0])
    bend, long = numbers.between(0.1, 0.9, 1)[0], numbers.between(0.8, 1.5, 1)[0]
    joined = numbers.between(0.3, 0.9, 1)[0]  # how often a stroke begins on the one before
    counts = fewest + numbers.between(0, STROKES + 1 - fewest, C).astype(np.int64)
    starts = numbers.between(-1, 1, C, STROKES, 2)
    joins = numbers.between(0, 1, C, STROKES) < joined
    places = numbers.between(0, 4, C, STROKES).astype(np.int64)  # the control point to join
    ways = _directions(numbers.between(-1, 1, C, STROKES, 2))
    ways = ways * (long * numbers.between(0.5, 1.2, C, STROKES, 1))
    bends = bend * numbers.between(-1, 1, C, STROKES, 2)
    controls = np.zeros((C, STROKES, 4, 2))
    for s in range(STROKES):
        begin, way = starts[:, s], ways[:, s]
        if s:
            before = controls[np.arange(C), s - 1, places[:, s]]
            begin = np.where(joins[:, s, None], before, begin)
        aside = np.stack([-way[:, 1], way[:, 0]], -1)
        controls[:, s, 0] = begin
        controls[:, s, 1] = begin + way / 3 + aside * bends[:, s, :1]
        controls[:, s, 2] = begin + way * 2 / 3 + aside * bends[:, s, 1:]
        controls[:, s, 3] = begin + way
    controls = _fill(controls, counts)
    low, high = controls.min((1, 2), keepdims=True), controls.max((1, 2), keepdims=True)
    half = (high - low) / 2
    half = np.maximum(half, SLIMMEST * half.max(-1, keepdims=True))
    return (controls - (low + high) / 2) / half, counts


def _directions(vectors: np.ndarray) -> np.ndarray:
    length = np.sqrt(vectors[..., :1] * vectors[..., :1] + vectors[..., 1:] * vectors[..., 1:])
    result: np.ndarray = vectors / np.maximum(length, 1e-3)
    return result


def _fill(controls: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Strokes beyond a character's number become its first again: ink on ink changes nothing."""
    which = np.arange(STROKES)[None, :]
    which = np.where(which < counts[:, None], which, 0)
    return np.take_along_axis(controls, which[:, :, None, None], axis=1)


def _hands(numbers: _Numbers, controls: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Every character in every hand: control points in pixels [C*H, S, 4, 2]."""
    M = len(controls) * HANDS
    drawn = np.repeat(controls, HANDS, axis=0)
    drawn = drawn + numbers.about_zero(STROKE_SHAKE, M, STROKES, 1, 2)
    drawn = drawn + numbers.about_zero(POINT_SHAKE, M, STROKES, 4, 2)
    drawn = _fill(drawn, np.repeat(counts, HANDS))
    turn = numbers.between(-TURN, TURN, M, 1, 1)  # tangent of half the angle
    cos, sin = (1 - turn * turn) / (1 + turn * turn), 2 * turn / (1 + turn * turn)
    slant = numbers.between(-SLANT, SLANT, M, 1, 1)
    scale = numbers.between(*SCALE, M, 2)
    x, y = drawn[..., 0], drawn[..., 1]
    x = x + slant * y
    x, y = cos * x - sin * y, sin * x + cos * y
    shift = numbers.between(-SHIFT, SHIFT, M, 2)
    centre = (SIDE - 1) / 2
    x = centre + shift[:, :1, None] + scale[:, :1, None] * x
    y = centre + shift[:, 1:, None] + scale[:, 1:, None] * y
    return np.stack([x, y], -1)


def _points(controls: np.ndarray) -> np.ndarray:
    """Points along the strokes: [M, S, 4, 2] -> [M, S*T, 2]."""
    t = (np.arange(POINTS) / (POINTS - 1))[:, None]
    u = 1 - t
    p = controls[:, :, :, None, :]  # [M, S, 4, 1, 2]
    curve = u * u * u * p[:, :, 0] + 3 * u * u * t * p[:, :, 1]
    curve = curve + 3 * u * t * t * p[:, :, 2] + t * t * t * p[:, :, 3]
    result: np.ndarray = curve.reshape(len(controls), -1, 2)
    return result


def _render(points: np.ndarray, radius: np.ndarray) -> np.ndarray:
    """Discs of `radius` pixels [M] at the points [M, P, 2], with an edge one pixel soft."""
    M, margin = len(points), 4
    side = SIDE + 2 * margin
    points = np.clip(points, -1.0, SIDE).astype(np.float32)  # what is beyond the paper is lost
    reach = np.arange(-2, 3, dtype=np.float32)
    dx, dy = (v.reshape(-1) for v in np.meshgrid(reach, reach))  # 25 pixels around a point
    ink = np.zeros((M, side * side), np.float32)
    first = np.arange(M, dtype=np.int64)[:, None] * (side * side)
    edge = (radius.astype(np.float32) + np.float32(0.5))[:, None]
    flat = ink.reshape(-1)
    for p in range(points.shape[1]):
        near = np.rint(points[:, p])  # [M, 2]
        off = near - points[:, p]
        x, y = off[:, :1] + dx, off[:, 1:] + dy
        shade = edge - np.sqrt(x * x + y * y)
        column, row = near[:, :1] + dx + margin, near[:, 1:] + dy + margin
        at = first + (row * side + column).astype(np.int64)
        flat[at] = np.maximum(flat[at], shade)
    ink = ink.reshape(M, side, side)[:, margin:-margin, margin:-margin]
    return (255 - np.rint(255 * np.clip(ink, 0, 1))).astype(np.uint8)


def build(
    members: Mapping[str, bytes], folder: Path, options: GlyphOptions, report: Report
) -> None:
    """Draws all alphabets into `folder`; `members` is empty, for nothing was downloaded."""
    total = ALPHABETS["test"].stop
    drawings, classes = [], []
    for alphabet in range(total):
        drawn = draw_alphabet(options.seed, alphabet)
        drawings.append(drawn.reshape(-1, 1, SIDE, SIDE))
        names = [f"alphabet{alphabet:02d}/character{c:02d}" for c in range(len(drawn))]
        classes += [(name, HANDS) for name in names]
        report("drawing glyphs", alphabet + 1, total)
    images = np.concatenate(drawings)
    contents = f"{VERSION}:{hashlib.sha256(images.tobytes()).hexdigest()}"
    write_stored(folder, images, classes, contents)


def place(cache: Path, options: GlyphOptions) -> Path:
    """The cache folder of a set of alphabets."""
    return cache / ("glyphs" if options.seed == 0 else f"glyphs-{options.seed}")


def pool(split: str, options: GlyphOptions, cache: Path, report: Report = silent) -> Pool:
    """The characters of a split's alphabets; drawn into the cache when they are not there yet.

    Raises:
        DataError: unknown split, or a damaged cache.
    """
    check_split(split, "glyphs")
    stored = _stored(cache, options, report)
    prefixes = tuple(f"alphabet{one:02d}/" for one in ALPHABETS[split])
    groups = [one for one in stored.groups if one.name.startswith(prefixes)]
    return make_pool(
        name="glyphs",
        split=split,
        scheme=None,
        classes=[one.name for one in groups],
        rows=[one.rows for one in groups],
        store=stored.images,
        contents=stored.contents,
    )


def _stored(cache: Path, options: GlyphOptions, report: Report) -> Stored:
    folder = place(cache, options)
    stored = _current(folder)
    if stored is None:
        with locked(cache, "glyphs"):
            if _current(folder) is None:
                with replacing(folder, 25_000_000) as fresh:
                    build({}, fresh, options, report)
        stored = _current(folder)
        assert stored is not None  # written a moment ago
    return stored


def _current(folder: Path) -> Stored | None:
    """What is in the cache, unless another version of metacli drew it."""
    stored = read_stored(folder, "glyphs")
    if stored is None or not stored.contents.startswith(f"{VERSION}:"):
        return None
    return stored
