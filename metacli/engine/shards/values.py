"""Scores of many episodes, whole or in parts: who measures asks here for each kind of score by its
name."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from pydantic import BaseModel, ConfigDict, ValidationError

from metacli.engine.results.base import Json
from metacli.engine.shards.part import Part
from metacli.engine.shards.shard import Shard
from metacli.errors import BundleError

Arrays = Mapping[str, np.ndarray]
"""By what they are, each with the episodes as its last axis."""
Compute = Callable[[int, int], Arrays]
"""Of the episodes from one number to before another."""


class Values:
    """All scores are computed here."""

    partial = False  # a part of them is all that this process gets
    divides = False  # this process computes a part of them at most

    def of(self, name: str, total: int, compute: Compute, unit: int = 1) -> Arrays:
        """The scores `name` of `total` episodes.

        Args:
            unit: episodes that are computed together.
        """
        return compute(0, total)


@dataclass(frozen=True)
class Named:
    """Values of one of several measurements.

    Args:
        within: its name.
    """

    values: Values
    within: str

    @property
    def partial(self) -> bool:
        return self.values.partial

    def of(self, name: str, total: int, compute: Compute, unit: int = 1) -> Arrays:
        return self.values.of(f"{self.within} {name}", total, compute, unit)


@dataclass
class PartValues(Values):
    """One part of them is computed and kept; the others are NaN."""

    shard: Shard
    kept: dict[str, Json] = field(default_factory=dict)

    partial = divides = True

    def of(self, name: str, total: int, compute: Compute, unit: int = 1) -> Arrays:
        first, last = self.shard.of(total, unit)
        found = compute(first, last) if first < last else {}
        self.kept[name] = {
            "total": total,
            "first": first,
            "last": last,
            "arrays": {key: value.tolist() for key, value in found.items()},
        }
        return {key: widened(value, first, total) for key, value in found.items()}


def widened(mine: np.ndarray, first: int, total: int) -> np.ndarray:
    """[..., part] within [..., total], whose rest is NaN."""
    whole = np.full((*mine.shape[:-1], total), np.nan)
    whole[..., first : first + mine.shape[-1]] = mine
    return whole


class Block(BaseModel):
    """What a part keeps of one kind of score; NaN is null."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    total: int
    first: int
    last: int
    arrays: dict[str, list[float | None] | list[list[float | None]]]


@dataclass(frozen=True)
class MergedValues(Values):
    """All of them are known already, from the parts in their order."""

    parts: Sequence[Part]

    divides = True

    def of(self, name: str, total: int, compute: Compute, unit: int = 1) -> Arrays:
        blocks = [self.block(one, name) for one in self.parts]
        ends = [0, *(one.last for one in blocks)]
        whole = all(one.first == end for one, end in zip(blocks, ends, strict=False))
        if not whole or ends[-1] != total or any(one.total != total for one in blocks):
            raise self.unfit(name, f"not {total} episodes")
        filled = [one.arrays for one in blocks if one.first < one.last]
        if any(set(one) != set(filled[0]) for one in filled):
            raise self.unfit(name, "other kinds of scores in one part than in another")
        return {
            key: np.concatenate([np.array(one[key], np.float64) for one in filled], axis=-1)
            for key in filled[0]
        }

    def block(self, part: Part, name: str) -> Block:
        values = part.made.get("values")
        try:
            return Block.model_validate(values.get(name) if isinstance(values, Mapping) else None)
        except ValidationError as error:
            raise self.unfit(name, f"part {part.shard}: {error.errors()[0]['msg']}") from None

    @staticmethod
    def unfit(name: str, what: str) -> BundleError:
        return BundleError(
            f"the parts do not hold the scores of {name}: {what}", code="shard.damaged"
        )
