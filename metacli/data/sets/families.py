"""Sets of generated tasks in groups, where it is known which are related: those of the
multi-task set `task-families` (`data.catalogue.task_families`), drawn again for every set.

A set has orthonormal directions m_g of its own, one for each group and each unrelated task. A task
t of group g has w_t = sqrt(1 - spread²) m_g + spread d_t, with d_t a random unit vector, scaled to
length 1;

    y = w_t·x + bend · (tanh(2 w_t·x) - w_t·x) + noise · ε,    x ~ N(0, I_24), ε ~ N(0, 1).

A flipped task has -w_t. noise = 10^(-snr / 20) times the standard deviation of the signal, which is
the same for every w of length 1. Every task has rows of its own; all labels are known.

Shape letters: B sets, T tasks, M support rows, Q queries, D columns.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from metacli.data.catalogue.task_families import BEND, COLUMNS, SPREAD
from metacli.data.draws import draw_from, stream, uniforms
from metacli.errors import DataError
from metacli.types import Batch, SetEpisode

VERSION = 1


@dataclass(frozen=True)
class FamilySets:
    """What a set consists of.

    Args:
        groups: of related tasks. tasks: in each group. unrelated: tasks related to no other.
        flipped: tasks of each group whose sign is flipped. snr: signal to noise in decibels.
    """

    groups: int = 2
    tasks: int = 3
    unrelated: int = 2
    flipped: int = 0
    snr: int = 6

    def __post_init__(self) -> None:
        if not 1 <= self.groups + self.unrelated <= COLUMNS or min(self.tasks, self.groups) < 1:
            raise DataError(
                f"task-families: groups and unrelated tasks together are 1 to {COLUMNS}, groups "
                "and tasks at least 1",
                code="data.option",
            )
        if not 0 <= self.flipped <= self.tasks:
            raise DataError(
                "task-families: more flipped tasks than a group has", code="data.option"
            )

    @property
    def members(self) -> tuple[int, ...]:
        """The direction of each task, groups first."""
        grouped = [group for group in range(self.groups) for _ in range(self.tasks)]
        return (*grouped, *range(self.groups, self.groups + self.unrelated))


@dataclass(frozen=True)
class Families:
    """A source of sets, addressed by index.

    Args:
        points: M; a pair is a range drawn once for each meta-batch. query: Q.
        seed: names the stream; plain values only. meta_batch: B, sets per meta-batch.
    """

    options: FamilySets
    points: int | tuple[int, int]
    query: int
    seed: tuple[str | int, ...] = ("train", 0)
    meta_batch: int = 1

    @property
    def digest(self) -> str:
        """Fingerprint of the family."""
        return f"task-families sets {VERSION}"

    @property
    def inputs(self) -> int:
        return COLUMNS

    @property
    def names(self) -> tuple[str, ...]:
        """Tasks have no names: those of a new set are others."""
        return ()

    def meta_batch_at(self, step: int) -> SetEpisode:
        """Sets step*B .. step*B+B-1: x [B, T, M, D] and y [B, T, M]."""
        word = stream(*self.seed, "shape", step).random_raw(1).tolist()[0]
        points, first = draw_from(self.points, word), step * self.meta_batch
        drawn = [self.rows_of(first + at, points) for at in range(self.meta_batch)]
        x, y = (np.stack(parts).astype(np.float32) for parts in zip(*drawn, strict=True))
        halves = [
            Batch(torch.from_numpy(x[:, :, part].copy()), torch.from_numpy(y[:, :, part].copy()))
            for part in (slice(None, points), slice(points, None))
        ]
        roles = torch.full((self.meta_batch, len(self.options.members)), -1)
        return SetEpisode(halves[0], halves[1], roles)

    def related_at(self, step: int) -> np.ndarray:
        """Which tasks are of one group, bool [B, T, T]: the same in every set."""
        members = np.array(self.options.members)
        related = members[:, None] == members
        return np.broadcast_to(related, (self.meta_batch, *related.shape)).copy()

    def rows_of(self, index: int, points: int) -> tuple[np.ndarray, np.ndarray]:
        """x [T, M+Q, D] and y [T, M+Q] of a set."""
        members, rows = self.options.members, points + self.query
        shapes = ((COLUMNS, COLUMNS), (len(members), COLUMNS), (len(members), rows, COLUMNS + 1))
        sizes = [int(np.prod(shape)) for shape in shapes]
        drawn = normal(stream(*self.seed, index).random_raw(2 * sum(sizes)))
        parts = np.split(drawn, np.cumsum(sizes)[:-1])
        axes, own, table = (part.reshape(shape) for part, shape in zip(parts, shapes, strict=True))
        signals = np.einsum("tmd,td->tm", table[..., :COLUMNS], self.weights(axes, own))
        noise = 10 ** (-self.options.snr / 20) * SIGNAL
        return table[..., :COLUMNS], bent(signals) + noise * table[..., COLUMNS]

    def weights(self, axes: np.ndarray, own: np.ndarray) -> np.ndarray:
        """w [T, D]."""
        directions = np.linalg.qr(axes)[0].T[list(self.options.members)]
        apart = own / np.linalg.norm(own, axis=1, keepdims=True)
        found: np.ndarray = np.sqrt(1 - SPREAD**2) * directions + SPREAD * apart
        found /= np.linalg.norm(found, axis=1, keepdims=True)
        grouped = self.options.groups * self.options.tasks
        flipped = np.arange(len(found)) % self.options.tasks < self.options.flipped
        found[flipped & (np.arange(len(found)) < grouped)] *= -1
        return found


def bent(signal: np.ndarray) -> np.ndarray:
    found: np.ndarray = signal + BEND * (np.tanh(2 * signal) - signal)
    return found


def normal(words: np.ndarray) -> np.ndarray:
    """Half as many standard normal numbers, by Box and Muller."""
    radius, angle = uniforms(words).reshape(2, -1)
    found: np.ndarray = np.sqrt(-2 * np.log1p(-radius)) * np.cos(2 * np.pi * angle)
    return found


def signal_deviation() -> float:
    """The standard deviation of bent(z), z ~ N(0, 1), by quadrature."""
    at, weight = np.polynomial.hermite_e.hermegauss(80)
    return float(np.sqrt((weight * bent(at) ** 2).sum() / weight.sum()))


SIGNAL = signal_deviation()
