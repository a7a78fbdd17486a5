"""Random numbers of one generated table: a stream of raw words, read in order."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from metacli.data.draws import Key, stream, uniforms


class Dice:
    """Draws from the stream that a key names; the same key gives the same draws for ever."""

    def __init__(self, *key: Key) -> None:
        self._words = stream(*key)

    def uniform(self, *shape: int) -> np.ndarray:
        """float64 in [0, 1)."""
        return uniforms(self._words.random_raw(math.prod(shape))).reshape(shape)

    def normal(self, *shape: int) -> np.ndarray:
        """Standard normal numbers, by Box and Muller."""
        radius, angle = self.uniform(2, *shape)
        found: np.ndarray = np.sqrt(-2 * np.log1p(-radius)) * np.cos(2 * np.pi * angle)
        return found

    def one(self, low: float = 0.0, high: float = 1.0) -> float:
        """A number of [low, high)."""
        return low + (high - low) * float(self.uniform(1)[0])

    def log(self, low: float, high: float) -> float:
        """A number of [low, high) whose logarithm is uniform."""
        return math.exp(self.one(math.log(low), math.log(high)))

    def count(self, low: int, high: int) -> int:
        """A whole number of low..high."""
        return low + int((high - low + 1) * float(self.uniform(1)[0]))

    def log_count(self, low: int, high: int) -> int:
        """A whole number of low..high, small ones more often."""
        return int(self.log(low, high + 1))

    def chance(self, share: float) -> bool:
        return float(self.uniform(1)[0]) < share

    def pick(self, weights: Sequence[float] | np.ndarray) -> int:
        """A number of 0..len(weights)-1, each as often as its weight says."""
        edges = np.cumsum(np.asarray(weights, float))
        found = int(np.searchsorted(edges, float(self.uniform(1)[0]) * edges[-1], side="right"))
        return min(found, len(weights) - 1)

    def order(self, n: int) -> np.ndarray:
        """0..n-1 in a random order."""
        return np.argsort(self.uniform(n), kind="stable")
