"""Sine waves to regress: amplitude U[0.1, 5], phase U[0, pi], x U[-5, 5], y = amplitude * sin(x -
phase).

The protocol of C. Finn, P. Abbeel, S. Levine, "Model-agnostic meta-learning for fast adaptation of
deep networks", ICML 2017, section 5.1, as the authors' code draws it.
"""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import numpy as np
import torch

from metacli.data.draws import Key, drawn_once, plain, stream, uniforms
from metacli.data.few_shot.pools import check_split
from metacli.errors import DataError
from metacli.types import Batch, Episode, TaskSpec

AMPLITUDE = (0.1, 5.0)
PHASE = (0.0, math.pi)
INPUT = (-5.0, 5.0)
DIGEST = hashlib.sha256(f"sine waves 1: {AMPLITUDE} {PHASE} {INPUT}".encode()).hexdigest()


class Waves(NamedTuple):
    """float64 [B] each."""

    amplitude: np.ndarray
    phase: np.ndarray


@dataclass(frozen=True)
class SinusoidOptions:
    """How the waves are shown.

    Args:
        told: each input also holds the wave's amplitude and phase, as the oracle's do.
    """

    told: bool = False

    @property
    def input_shape(self) -> tuple[int, ...]:
        return (3,) if self.told else (1,)


@dataclass(frozen=True)
class Sinusoids:
    """A source of regression episodes: x [K, 1] and y [K, 1] float32, K of the support and of the
    query; x [K, 3] where the inputs are told amplitude and phase.

    All waves of a source are one stream of random words, of which wave i has its own fixed stretch;
    so a meta-batch is one draw, and how waves are grouped changes none of them.

    Args:
        shot: support points; a pair is a range drawn once for each meta-batch.
        query: query points.
        seed: names the stream; plain values only.
        meta_batch: waves per meta-batch.
        split: train, val or test; a name only, since every split draws from the same waves.
        told: see `SinusoidOptions`; the waves and points are the same.
    Raises:
        DataError: no support points, or an unknown split.
    """

    shot: int | tuple[int, int]
    query: int
    seed: tuple[Key, ...] = ("train", 0)
    meta_batch: int = 1
    split: str = "train"
    told: bool = False

    def __post_init__(self) -> None:
        if not isinstance(self.shot, int):
            object.__setattr__(self, "shot", tuple(self.shot))
        object.__setattr__(self, "seed", plain(self.seed))
        check_split(self.split, "sinusoid")
        least = self.shot if isinstance(self.shot, int) else self.shot[0]
        if not 1 <= least <= self._most or self.query < 0 or self.meta_batch < 1:
            raise DataError(
                f"shot is {self.shot}, query {self.query} and meta_batch {self.meta_batch}; "
                "wanted 1, 0 and 1 or more"
            )

    @property
    def spec(self) -> TaskSpec:
        return TaskSpec(
            kind="regression",
            way=1,
            shot=self.shot,
            query=self.query,
            split=self.split,
            num_classes=0,
            input_shape=SinusoidOptions(self.told).input_shape,
        )

    @property
    def digest(self) -> str:
        """Fingerprint of the family of waves."""
        return DIGEST

    def episode(self, index: int) -> Episode:
        """Wave `index`."""
        support, query = self._draw(index, 1)
        return Episode(Batch(support.x[0], support.y[0]), Batch(query.x[0], query.y[0]))

    def meta_batch_at(self, step: int) -> Episode:
        """Waves step*B .. step*B+B-1: x [B, K, 1 or 3] and y [B, K, 1]."""
        return self.part_at(step, 0, self.meta_batch)

    def part_at(self, step: int, begin: int, end: int) -> Episode:
        """Waves begin .. end-1 of the meta-batch of a step."""
        return self._draw(step * self.meta_batch + begin, end - begin)

    def waves(self, index: int, count: int = 1) -> Waves:
        """Amplitude and phase of waves index .. index+count-1, for an oracle that is told them."""
        return _waves(self._numbers(index, count))

    @property
    def _most(self) -> int:
        return self.shot if isinstance(self.shot, int) else self.shot[1]

    def _numbers(self, index: int, count: int) -> np.ndarray:
        """[count, 2 + K + Q] numbers in [0, 1)."""
        each = 2 + self._most + self.query
        words = stream(self.seed).advance(index * each).random_raw(count * each)
        return uniforms(words).reshape(count, each)

    def _draw(self, index: int, count: int) -> Episode:
        numbers = self._numbers(index, count)
        waves = _waves(numbers)
        x = INPUT[0] + (INPUT[1] - INPUT[0]) * numbers[:, 2:]
        y = waves.amplitude[:, None] * np.sin(x - waves.phase[:, None])
        shot = self._shot(index)
        seen = np.stack([x, *map(partial(spread, like=x), waves)] if self.told else [x], -1)
        xs, ys = (torch.from_numpy(v.astype(np.float32)) for v in (seen, y[..., None]))
        most = self._most
        return Episode(Batch(xs[:, :shot], ys[:, :shot]), Batch(xs[:, most:], ys[:, most:]))

    def _shot(self, index: int) -> int:
        return drawn_once(self.shot, self.seed, index // self.meta_batch)


def spread(values: np.ndarray, like: np.ndarray) -> np.ndarray:
    """One number for each wave at each of its points: [B] -> [B, K]."""
    return np.broadcast_to(values[:, None], like.shape)


def _waves(numbers: np.ndarray) -> Waves:
    low, high = AMPLITUDE
    return Waves(
        amplitude=low + (high - low) * numbers[:, 0],
        phase=PHASE[0] + (PHASE[1] - PHASE[0]) * numbers[:, 1],
    )
