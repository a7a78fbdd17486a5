"""Sets of functions that share parameters: y_t = a act_t(w x + b) + c.

D. Kim, S. Cho, W. Lee, S. Hong, "Multi-Task Neural Processes", ICLR 2022
(https://github.com/GitGyun/multi_task_neural_processes, `data/generate_synthetic_data.py`): a and w
are exp(u), u uniform in [-0.5, 0.5]; b and c uniform in [-2, 2]; x uniform in [-5, 5]. A label is
missing with probability 0.5, but point t mod M always has the label of task t.

Four variants, so that how far the tasks are related is known:

shared: sine, tanh, sigmoid and Gaussian with the same (a, w, b, c).
noisy: each of log a, log w, b, c plus N(0, s^2) per task, s uniform in [0.1, 0.3] per set.
independent: (a, w, b, c) drawn per task.
mixed: 6 to 8 of eight activations; half of the tasks (rounded down) share, the others have their
own parameters. pooled: one of the four per set, a quarter of the meta-batches being mixed.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal, NamedTuple, get_args

import numpy as np
import torch

from metacli.data.draws import draw_from, integers, stream, uniforms
from metacli.errors import DataError
from metacli.types import Batch, SetEpisode

Variant = Literal["shared", "noisy", "independent", "mixed", "pooled"]
ACTIVATIONS: Mapping[str, Callable[[np.ndarray], np.ndarray]] = {
    "sine": np.sin,
    "tanh": np.tanh,
    "sigmoid": lambda z: 1 / (1 + np.exp(-z)),
    "gaussian": lambda z: np.exp(-(z**2)),
    "cosine": np.cos,
    "arctan": np.arctan,
    "cauchy": lambda z: 1 / (1 + z**2),
    "wavelet": lambda z: z * np.exp(-(z**2) / 2),
}
NAMES = tuple(ACTIVATIONS)
FOUR, EIGHT = 4, 8
INPUT, LOG_SCALE, SHIFT, NOISE = (-5.0, 5.0), 0.5, 2.0, (0.1, 0.3)
MISSING = 0.5
MOST = 32  # support points; a set's stretch of random words is the same for any number below
MOST_QUERIES = 256
WORDS = 1 + 2 * EIGHT + 1 + 4 + 4 * EIGHT + 8 * EIGHT + MOST + MOST_QUERIES + EIGHT * MOST
DIGEST = hashlib.sha256(f"functions 1: {NAMES} {INPUT} {MISSING} {WORDS}".encode()).hexdigest()


class Relations(NamedTuple):
    """What generated a group of sets: theta [B, T, 4] (log a, log w, b, c), related [B, T, T]."""

    theta: np.ndarray
    related: np.ndarray


class _Draw(NamedTuple):
    """The random numbers of B sets, each in [0, 1)."""

    kind: np.ndarray  # [B]
    roles: np.ndarray  # [B, 8] words
    members: np.ndarray  # [B, 8] words
    noise: np.ndarray  # [B]
    common: np.ndarray  # [B, 4]
    own: np.ndarray  # [B, 8, 4]
    normal: np.ndarray  # [B, 8, 4]
    points: np.ndarray  # [B, MOST]
    queries: np.ndarray  # [B, MOST_QUERIES]
    known: np.ndarray  # [B, MOST, 8]


@dataclass(frozen=True)
class Functions:
    """A source of sets, addressed by index.

    Args:
        variant: how the tasks of a set are related.
        points: M, support points of a set; a pair is a range drawn once for each meta-batch.
        query: Q, query points; their x are uniform, or `grid`: equally spaced from -5 to 5.
        seed: names the stream; plain values only. meta_batch: B, sets per meta-batch.
    Raises:
        DataError: an unknown variant, or a number of points that the generator has no words for.
    """

    variant: Variant = "shared"
    points: int | tuple[int, int] = 10
    query: int = 8
    grid: bool = False
    seed: tuple[str | int, ...] = ("train", 0)
    meta_batch: int = 1

    def __post_init__(self) -> None:
        if self.variant not in get_args(Variant):
            found = ", ".join(get_args(Variant))
            raise DataError(f"no variant {self.variant!r} of functions; there are {found}")
        low, high = self.points if isinstance(self.points, tuple) else (self.points, self.points)
        if not 1 <= low <= high <= MOST or not 0 < self.query <= MOST_QUERIES:
            raise DataError(
                f"{self.points} points and {self.query} queries of functions; wanted 1 to {MOST} "
                f"and 1 to {MOST_QUERIES}"
            )

    @property
    def digest(self) -> str:
        """Fingerprint of the family of functions."""
        return DIGEST

    @property
    def inputs(self) -> int:
        """x is one number."""
        return 1

    @property
    def names(self) -> tuple[str, ...]:
        """The table of named tasks that `SetEpisode.roles` counts."""
        return NAMES if self.variant in ("mixed", "pooled") else NAMES[:FOUR]

    def episode(self, index: int) -> SetEpisode:
        """Set `index` of the stream, without a leading axis."""
        group, at = divmod(index, self.meta_batch)
        support, query, roles, _ = self.meta_batch_at(group)
        assert support.mask is not None
        one = Batch(support.x[at], support.y[at], support.mask[at])
        return SetEpisode(one, Batch(query.x[at], query.y[at]), roles[at])

    def meta_batch_at(self, step: int) -> SetEpisode:
        """Sets step*B .. step*B+B-1: support x [B, T, M, 1], y and mask [B, T, M]; query without a
        mask."""
        points, tasks = self.shape_at(step)
        draw = self._numbers(step)
        roles, relations = self._relations(draw, tasks, step)
        x = INPUT[0] + (INPUT[1] - INPUT[0]) * draw.points[:, :points]
        at = INPUT[0] + (INPUT[1] - INPUT[0]) * draw.queries[:, : self.query]
        if self.grid:
            at = np.broadcast_to(np.linspace(*INPUT, self.query), at.shape)
        known = np.swapaxes(draw.known[:, :points, :tasks] >= MISSING, 1, 2).copy()  # [B, T, M]
        known[:, np.arange(tasks), np.arange(tasks) % points] = True
        halves = (as_batch(inputs, relations.theta, roles) for inputs in (x, at))
        support, query = halves
        return SetEpisode(
            support._replace(mask=torch.from_numpy(known)), query, torch.from_numpy(roles)
        )

    def relations_at(self, step: int) -> Relations:
        """The parameters of the sets of a meta-batch and which of their tasks share them."""
        return self._relations(self._numbers(step), self.shape_at(step)[1], step)[1]

    def related_at(self, step: int) -> np.ndarray:
        """Which tasks of each set share their parameters, bool [B, T, T]."""
        return self.relations_at(step).related

    def shape_at(self, step: int) -> tuple[int, int]:
        """(M, T) of a meta-batch."""
        words = stream(*self.seed, "shape", step).random_raw(2).tolist()
        points = draw_from(self.points, words[0])
        return points, draw_from((6, 8), words[1]) if self._is_mixed(step) else FOUR

    def _is_mixed(self, step: int) -> bool:
        if self.variant != "pooled":
            return self.variant == "mixed"
        return int(integers(stream(*self.seed, "mixed", step).random_raw(1), 4)[0]) == 0

    def _numbers(self, step: int) -> _Draw:
        size = self.meta_batch
        words = stream(*self.seed).advance(step * size * WORDS).random_raw(size * WORDS)
        words = words.reshape(size, WORDS)
        lengths = (1, EIGHT, EIGHT, 1, 4, 4 * EIGHT, 8 * EIGHT, MOST, MOST_QUERIES)
        kind, roles, members, noise, common, own, normal, points, queries, known = np.split(
            words, np.cumsum(lengths), axis=1
        )
        radius, angle = np.split(uniforms(normal).reshape(size, EIGHT, 8), 2, axis=2)
        return _Draw(
            uniforms(kind[:, 0]),
            roles,
            members,
            uniforms(noise[:, 0]),
            uniforms(common),
            uniforms(own).reshape(size, EIGHT, 4),
            np.sqrt(-2 * np.log1p(-radius)) * np.cos(2 * np.pi * angle),  # Box and Muller
            uniforms(points),
            uniforms(queries),
            uniforms(known).reshape(size, MOST, EIGHT),
        )

    def _relations(self, draw: _Draw, tasks: int, step: int) -> tuple[np.ndarray, Relations]:
        """Roles int64 [B, T], and what generated the sets."""
        size = self.meta_batch
        common, own = theta_of(draw.common)[:, None], theta_of(draw.own[:, :tasks])
        sharing = np.ones((size, tasks), bool)
        if self._is_mixed(step):
            roles = np.argsort(draw.roles, axis=1, kind="stable")[:, :tasks]
            order = np.argsort(draw.members[:, :tasks], axis=1, kind="stable")
            sharing = np.argsort(order, axis=1) < tasks // 2
            theta = np.where(sharing[..., None], common, own)
        else:
            roles = np.broadcast_to(np.arange(tasks), (size, tasks)).copy()
            kinds = self._kinds(draw)
            spread = NOISE[0] + (NOISE[1] - NOISE[0]) * draw.noise
            jitter = draw.normal[:, :tasks] * spread[:, None, None]
            choices = [kinds == kind for kind in range(3)]
            theta = np.select(
                [one[:, None, None] for one in choices],
                [np.broadcast_to(common, own.shape), common + jitter, own],
            )
            sharing = np.broadcast_to((kinds < 2)[:, None], sharing.shape)
        related = sharing[:, :, None] & sharing[:, None] | np.eye(tasks, dtype=bool)
        return roles.astype(np.int64), Relations(theta, related)

    def _kinds(self, draw: _Draw) -> np.ndarray:
        """0 shared, 1 noisy, 2 independent, for each set."""
        if self.variant == "pooled":
            result: np.ndarray = np.floor(3 * draw.kind).astype(int)
            return result
        return np.full(len(draw.kind), ("shared", "noisy", "independent").index(self.variant))


def theta_of(numbers: np.ndarray) -> np.ndarray:
    """(log a, log w, b, c) from uniform numbers, [..., 4] to [..., 4]."""
    result: np.ndarray = (2 * numbers - 1) * np.array([LOG_SCALE, LOG_SCALE, SHIFT, SHIFT])
    return result


def values_of(x: np.ndarray, theta: np.ndarray, roles: np.ndarray) -> np.ndarray:
    """The functions at x [B, M]: float64 [B, T, M]."""
    log_a, log_w, b, c = (part[..., None] for part in np.moveaxis(theta, -1, 0))  # [B, T, 1]
    z = np.exp(log_w) * x[:, None] + b
    y = np.empty_like(z)
    for number, name in enumerate(NAMES):
        chosen = roles == number
        if chosen.any():
            y[chosen] = ACTIVATIONS[name](z[chosen])
    result: np.ndarray = np.exp(log_a) * y + c
    return result


def as_batch(x: np.ndarray, theta: np.ndarray, roles: np.ndarray) -> Batch:
    """float32 x [B, T, M, 1], the same for every task of a set, and y [B, T, M]."""
    y = torch.from_numpy(values_of(x, theta, roles).astype(np.float32))
    inputs = torch.from_numpy(x.astype(np.float32))[:, None, :, None]
    return Batch(inputs.expand(*y.shape, 1), y)
