"""A result as a view reads it: each value with the type that the view needs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from metacli.engine.results.base import Json


@dataclass(frozen=True)
class Block:
    """A block of a JSON document. What is absent, or of another type than is asked for, reads as
    None or empty: a view leaves it out."""

    values: Mapping[str, Json] = field(default_factory=dict)

    def has(self, key: str) -> bool:
        return self.values.get(key) is not None

    def value(self, key: str) -> Json:
        return self.values.get(key)

    def text(self, key: str, absent: str = "") -> str:
        """Any scalar as text."""
        value = self.values.get(key)
        return str(value) if isinstance(value, str | int | float) else absent

    def name(self, key: str) -> str | None:
        """A text, or None."""
        value = self.values.get(key)
        return value if isinstance(value, str) else None

    def number(self, key: str) -> float | None:
        return number_of(self.values.get(key))

    def flag(self, key: str) -> bool:
        return bool(self.values.get(key))

    def block(self, key: str) -> Block:
        return block_of(self.values.get(key))

    def blocks(self, key: str) -> list[Block]:
        """A list of blocks."""
        return [block_of(one) for one in items_of(self.values.get(key))]

    def named(self, key: str) -> Iterator[tuple[str, Block]]:
        """A block of blocks, by name."""
        for name, value in self.block(key).values.items():
            yield name, block_of(value)

    def items(self, key: str) -> list[Json]:
        """A list of anything."""
        return items_of(self.values.get(key))

    def texts(self, key: str) -> list[str]:
        return [str(one) for one in self.items(key)]

    def numbers(self, key: str) -> list[float | None]:
        return [number_of(one) for one in self.items(key)]


def block_of(value: Json) -> Block:
    return Block(value) if isinstance(value, Mapping) else Block()


def items_of(value: Json) -> list[Json]:
    return list(value) if isinstance(value, list | tuple) else []


def number_of(value: Json) -> float | None:
    """A whole number stays whole, so that it is printed as one."""
    return value if isinstance(value, int | float) and not isinstance(value, bool) else None
