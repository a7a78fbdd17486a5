"""Sources of sets of tasks by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np

from metacli.data.sets.families import Families, FamilySets
from metacli.data.sets.functions import Functions, Variant
from metacli.types import SetEpisode


class SetSource(Protocol):
    """Sets of tasks whose relations are known, addressed by index."""

    @property
    def names(self) -> tuple[str, ...]:
        """The table of named tasks that `SetEpisode.roles` counts; () where tasks have no names."""
        ...

    @property
    def inputs(self) -> int:
        """Columns of x."""
        ...

    @property
    def digest(self) -> str:
        """Fingerprint of what is drawn from."""
        ...

    def meta_batch_at(self, step: int) -> SetEpisode:
        """Sets step*B .. step*B+B-1, with a leading [B]."""
        ...

    def related_at(self, step: int) -> np.ndarray:
        """Which tasks of each of these sets are related, bool [B, T, T]."""
        ...


@dataclass(frozen=True)
class FunctionsOptions:
    """How the tasks of a set of functions are related.

    Args:
        variant: shared, noisy, independent, mixed, or pooled: one of the four per set.
    """

    variant: Variant = "shared"


@dataclass(frozen=True)
class SetShape:
    """How many sets are drawn at a time, and how large they are.

    Args:
        points: support points; a pair is a range drawn once for each meta-batch.
        query: query points of a task. grid: equally spaced instead of drawn.
    """

    points: int | tuple[int, int]
    query: int
    meta_batch: int
    grid: bool = False


def functions(options: FunctionsOptions, shape: SetShape, seed: tuple[str | int, ...]) -> SetSource:
    """Raises DataError for a size that the generator does not have."""
    return Functions(options.variant, shape.points, shape.query, shape.grid, seed, shape.meta_batch)


def families(options: FamilySets, shape: SetShape, seed: tuple[str | int, ...]) -> SetSource:
    return Families(options, shape.points, shape.query, seed, shape.meta_batch)


SetOptions = FunctionsOptions | FamilySets


class NamedSource(NamedTuple):
    """A source of sets of regressions: its options, and what makes it of them, a shape and a
    seed."""

    options: type[SetOptions]
    make: Callable[..., SetSource]


SETS: Mapping[str, NamedSource] = {
    "functions": NamedSource(FunctionsOptions, functions),
    "task-families": NamedSource(FamilySets, families),
}
