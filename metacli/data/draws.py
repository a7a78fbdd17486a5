"""Random numbers whose stream is the same for ever: raw 64-bit words of PCG64, and nothing built on
them by numpy.

numpy guarantees the words of a bit generator, but not what `Generator.choice` or `permutation` make
of them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np

Words = np.ndarray  # uint64
Key = str | int | float | None | tuple["Key", ...]
Loose = str | int | float | None | Sequence["Loose"]
"""A key as recipes and callers spell it, with lists where `Key` has tuples."""


def stream(*key: Key) -> np.random.PCG64:
    """A bit generator named by a key of plain values (strings, numbers, None, tuples of them)."""
    name = hashlib.sha256(repr(key).encode()).digest()
    return np.random.PCG64(int.from_bytes(name[:16], "little"))


def plain(key: Sequence[Loose]) -> tuple[Key, ...]:
    """The key with lists as tuples, so that a range names the same stream in both spellings."""
    return tuple(_plain(one) for one in key)


def _plain(one: Loose) -> Key:
    return plain(one) if isinstance(one, list | tuple) else _single(one)


def _single(one: Loose) -> Key:
    if one is None or isinstance(one, str | int | float):
        return one
    raise TypeError(f"{one!r} cannot name a stream")


def integers(words: Words, bounds: int | Sequence[int] | np.ndarray) -> np.ndarray:
    """Numbers in 0..bound-1 for each word; bounds up to 2^32. The bias is below bound / 2^32."""
    return ((words >> np.uint64(32)) * np.asarray(bounds, np.uint64)) >> np.uint64(32)


def uniforms(words: Words) -> np.ndarray:
    """float64 in [0, 1) with 53 random bits."""
    return (words >> np.uint64(11)) * 2.0**-53


def partial_shuffle(jumps: Sequence[int]) -> list[int]:
    """The first len(jumps) places of a shuffled 0..n-1, where jumps[i] is drawn from 0..n-i-1.

    Fisher and Yates' shuffle that remembers only the swapped places, so it costs nothing per class
    left out.
    """
    moved: dict[int, int] = {}
    chosen = []
    for place, jump in enumerate(jumps):
        other = place + jump
        chosen.append(moved.get(other, other))
        moved[other] = moved.get(place, place)
    return chosen


def shuffled(n: int, *key: Key) -> list[int]:
    """0..n-1 in a random order named by the key."""
    words = stream(*key).random_raw(n) if n else np.zeros(0, np.uint64)
    return partial_shuffle(integers(words, np.arange(n, 0, -1)).tolist())


def draw_from(span: int | tuple[int, int], word: int) -> int:
    """A number of an inclusive range; a plain number is itself."""
    if isinstance(span, int):
        return span
    low, high = span
    return low + ((word * (high - low + 1)) >> 64)


def drawn_once(span: int | tuple[int, int], seed: Key, meta_batch: int) -> int:
    """A number that all episodes of a meta-batch share, such as their shot."""
    if isinstance(span, int):
        return span
    return draw_from(span, stream(seed, "shape", meta_batch).random_raw(1).tolist()[0])
