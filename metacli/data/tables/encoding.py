"""From the cells of a table to numbers for a network, and from its numbers back to the target.

Statistics and categories are those of the rows that were learned from; they are plain data and part
of the model, so that every later row is read the same way.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from metacli.data.files import shown
from metacli.data.plain import (
    Plain,
    Record,
    flag_in,
    number_in,
    records_in,
    text_in,
    texts_in,
)
from metacli.data.tables.dates import ORDERS, PARTS, Order, Part, part_numbers
from metacli.data.tables.molecules import (
    Fingerprint,
    Letters,
    TextCells,
    Wide,
)
from metacli.data.tables.reader import Table
from metacli.data.tables.spelled_numbers import as_spelled
from metacli.errors import DataError


@dataclass(frozen=True)
class Numeric:
    """(x - mean) / scale, and with `missing` a second number: 1 where the cell was empty, whose
    first number is then 0, the mean.

    Args:
        limit: the first number is cut at ± this; None: never.
    """

    name: str
    mean: float
    scale: float
    missing: bool
    limit: float | None = None

    @property
    def width(self) -> int:
        return 2 if self.missing else 1

    @property
    def titles(self) -> tuple[str, ...]:
        """A name for each number."""
        return (self.name, f"{self.name}: missing")[: self.width]

    def encode(self, table: Table) -> np.ndarray:
        return scaled(table.numbers(self.name), self)

    def as_dict(self) -> dict[str, Plain]:
        return {"kind": "numeric", "name": self.name, **level_dict(self)}

    @classmethod
    def from_dict(cls, value: Record) -> Numeric:
        return cls(text_in(value, "name"), *level_in(value))


@dataclass(frozen=True)
class DatePart:
    """One part of a date or time, such as its month, scaled as a number is.

    Args:
        order: of day, month and year in the cells; what they say is not guessed again.
    """

    name: str
    part: Part
    order: Order
    mean: float
    scale: float
    missing: bool
    limit: float | None = None

    @property
    def width(self) -> int:
        return 2 if self.missing else 1

    @property
    def titles(self) -> tuple[str, ...]:
        """A name for each number."""
        name = f"{self.name}: {self.part}"
        return (name, f"{name} missing")[: self.width]

    def encode(self, table: Table) -> np.ndarray:
        return scaled(part_numbers(table, self.name, self.part, self.order), self)

    def as_dict(self) -> dict[str, Plain]:
        plain = {"kind": "date", "name": self.name, "part": self.part, "order": self.order}
        return {**plain, **level_dict(self)}

    @classmethod
    def from_dict(cls, value: Record) -> DatePart:
        part, order = text_in(value, "part"), text_in(value, "order")
        known = next((one for one in PARTS if one == part), None)
        sorted_as = next((one for one in ORDERS if one == order), None)
        if known is None or sorted_as is None:
            raise ValueError(f"no part {part!r} of a date in the order {order!r}")
        return cls(text_in(value, "name"), known, sorted_as, *level_in(value))


@dataclass(frozen=True)
class Categorical:
    """One number for each value, and the last for a value that is missing or was never seen."""

    name: str
    values: tuple[str, ...]

    @property
    def width(self) -> int:
        return len(self.values) + 1

    @property
    def titles(self) -> tuple[str, ...]:
        """A name for each number."""
        return tuple(f"{self.name}: {value}" for value in (*self.values, "another"))

    def encode(self, table: Table) -> np.ndarray:
        place = {value: number for number, value in enumerate(self.values)}
        unknown = len(self.values)
        words = table.words(self.name)
        if not place.keys() >= {word for word in words if word is not None}:
            # 5% among words is a category, and in a table of numbers alone it was read as 5
            spelled = as_spelled(self.values)
            place = {number: place[cell] for number, cell in spelled.items()} | place
        at = [unknown if word is None else place.get(word, unknown) for word in words]
        return np.eye(self.width)[at]

    def as_dict(self) -> dict[str, Plain]:
        return {"kind": "categorical", "name": self.name, "values": list(self.values)}

    @classmethod
    def from_dict(cls, value: Record) -> Categorical:
        return cls(text_in(value, "name"), texts_in(value, "values"))


Column = Numeric | DatePart | Categorical | Wide
COLUMNS: Mapping[str, Callable[[Record], Column]] = {
    "numeric": Numeric.from_dict,
    "date": DatePart.from_dict,
    "categorical": Categorical.from_dict,
    "fingerprint": Fingerprint.from_dict,
    "letters": Letters.from_dict,
    "text": TextCells.from_dict,
}


def scaled(values: np.ndarray, column: Numeric | DatePart) -> np.ndarray:
    """float64 [M, 1 or 2] of numbers [M], NaN where missing."""
    gone = np.isnan(values)
    found = np.where(gone, 0.0, (values - column.mean) / column.scale)
    if column.limit is not None:
        found = found.clip(-column.limit, column.limit)
    return np.stack([found, gone], 1) if column.missing else found[:, None]


def level_dict(column: Numeric | DatePart) -> dict[str, Plain]:
    cut = {} if column.limit is None else {"limit": column.limit}
    return {"mean": column.mean, "scale": column.scale, "missing": column.missing, **cut}


def level_in(value: Record) -> tuple[float, float, bool, float | None]:
    """Mean, scale, missing and limit. Raises ValueError."""
    limit = None if value.get("limit") is None else number_in(value, "limit")
    mean, scale = number_in(value, "mean"), number_in(value, "scale")
    if scale == 0 or (limit is not None and limit <= 0):
        raise ValueError(f"scale {scale} and limit {limit}; wanted numbers that are not 0")
    return mean, scale, flag_in(value, "missing"), limit


@dataclass(frozen=True)
class Target:
    """A number to predict: networks see (y - mean) / scale."""

    name: str
    mean: float = 0.0
    scale: float = 1.0
    unit: str | None = None

    def encode(self, values: np.ndarray) -> np.ndarray:
        return (values - self.mean) / self.scale

    def decode(self, values: np.ndarray) -> np.ndarray:
        """From the network's numbers to the user's."""
        return values * self.scale + self.mean

    def as_dict(self) -> dict[str, Plain]:
        return {"name": self.name, "mean": self.mean, "scale": self.scale, "unit": self.unit}


@dataclass(frozen=True)
class Encoding:
    """How the inputs of a table become x [M, D]."""

    columns: tuple[Column, ...]

    @property
    def width(self) -> int:
        return sum(one.width for one in self.columns)

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(one.name for one in self.columns))  # a date has several parts

    @property
    def titles(self) -> tuple[str, ...]:
        """A name for each number."""
        return tuple(title for one in self.columns for title in one.titles)

    @property
    def molecules(self) -> tuple[str, ...]:
        """The columns of molecules."""
        return tuple(o.name for o in self.columns if isinstance(o, Fingerprint | Letters))

    @property
    def wide(self) -> bool:
        """Whether most numbers are bits or weights of n-grams, which are not standardised."""
        return any(isinstance(one, Fingerprint | Letters | TextCells) for one in self.columns)

    def encode(self, table: Table) -> np.ndarray:
        """float32 [M, D].

        Raises:
            DataError: columns that are not in the table (all of them are named), or a cell that is
                no number where the model was trained on numbers.
        """
        there = set(table.columns)
        gone = [one for one in self.names if one not in there]
        if gone:
            have = ", ".join(shown(one) for one in table.columns[:12])
            raise DataError(
                f"{table.name} lacks {len(gone)} of the {len(self.names)} columns that the model "
                f"takes: {', '.join(shown(one) for one in gone[:12])}; it has {have}",
                code="table.columns",
                where=table.name,
                hint="the model takes the columns that it was trained on, by name",
            )
        parts = [one.encode(table) for one in self.columns]
        return np.concatenate(parts, 1).astype(np.float32)

    def as_dict(self) -> dict[str, Plain]:
        return {"name": "table", "columns": [one.as_dict() for one in self.columns]}

    @classmethod
    def from_dict(cls, value: Record) -> Encoding:
        """Raises ValueError: not what `as_dict` gives."""
        made: list[Column] = []
        for one in records_in(value, "columns"):
            kind = text_in(one, "kind")
            if kind not in COLUMNS:
                raise ValueError(f"no column of kind {kind!r}")
            made.append(COLUMNS[kind](one))
        return cls(tuple(made))
