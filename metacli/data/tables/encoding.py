"""From the cells of a table to numbers for a network, and from its numbers back to the target.

Statistics and categories are those of the rows that were learned from; they are plain data and part
of the model, so that every later row is read the same way.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
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
from metacli.data.tables.dates import ORDERS, PARTS, Order, Part, order_of, part_numbers, parts_of
from metacli.data.tables.kinds import Kind
from metacli.data.tables.levels import level_of
from metacli.data.tables.molecules import (
    Fingerprint,
    Letters,
    TextCells,
    Wide,
    fit_molecules,
    fit_texts,
)
from metacli.data.tables.reader import Table
from metacli.errors import DataError

MOST_CATEGORIES = 200  # values of one column


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
        at = [unknown if w is None else place.get(w, unknown) for w in table.words(self.name)]
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
        gone = [one for one in self.names if one not in table.columns]
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


def fit_encoding(tables: Sequence[Table], kinds: Mapping[str, Kind]) -> Encoding:
    """Statistics over the rows of all these tables.

    Args:
        kinds: of the columns to read, in their order.
    Raises:
        DataError: a column is missing from a table, or has more than MOST_CATEGORIES values.
    """
    made: list[Column] = []
    for name, kind in kinds.items():
        if kind == "numeric":
            made.append(_fit_numeric(name, np.concatenate([one.numbers(name) for one in tables])))
        elif kind == "date":
            made += _fit_date(name, tables)
        elif kind == "molecules":
            made.append(fit_molecules(name, tables))
        elif kind == "text":
            made.append(fit_texts(name, tables))
        elif kind in ("categorical", "constant"):
            made.append(_fit_categorical(name, tables))
    return Encoding(tuple(made))


def _fit_numeric(name: str, values: np.ndarray) -> Numeric:
    level = level_of(values)
    return Numeric(name, level.mean, level.scale, bool(np.isnan(values).any()), level.limit)


def _fit_date(name: str, tables: Sequence[Table]) -> Sequence[DatePart]:
    """The parts that differ among the rows; the first alone where none does."""
    cells = [cell for one in tables for cell in one.words(name)]
    order = order_of(cells)
    if order is None:  # the tables differ from what their columns were called
        raise tables[0].column_error(name, "holds no dates that can be read", "table.date")
    parts = parts_of(order, cells)
    values = {p: np.concatenate([part_numbers(t, name, p, order) for t in tables]) for p in parts}
    telling = [p for p in parts if len(np.unique(values[p][~np.isnan(values[p])])) > 1] or parts[:1]
    made = []
    for part in telling:  # whether a cell is empty is one number, not five
        level = level_of(values[part])
        gone = part == telling[0] and bool(np.isnan(values[part]).any())
        made.append(DatePart(name, part, order, level.mean, level.scale, gone, level.limit))
    return made


def _fit_categorical(name: str, tables: Sequence[Table]) -> Numeric | Categorical:
    cells = [cell for one in tables for cell in one.words(name)]
    values = sorted({cell for cell in cells if cell is not None})
    if len(values) > MOST_CATEGORIES:
        raise DataError(
            f"column {shown(name)} of {tables[0].name} has {len(values)} different words; at most "
            f"{MOST_CATEGORIES} are read as categories",
            code="table.categories",
            where=f"{tables[0].name}, column {shown(name)}",
            hint=f"--input without {shown(name)}, or put rare values together",
        )
    try:  # one value alone: a number stays a number, so that another one may follow
        return _fit_numeric(name, np.array([np.nan if c is None else float(c) for c in cells]))
    except ValueError:
        return Categorical(name, tuple(values))


def fit_target(name: str, values: np.ndarray, unit: str | None = None) -> Target:
    """Mean and standard deviation of a target's numbers.

    Raises:
        DataError: a wild number, which no model can learn together with the others.
    """
    level = level_of(values)
    if level.wild:
        cell, usual = values[level.wild[0]], np.delete(values, level.wild)
        raise DataError(
            f"target {shown(name)} is {cell:g} in one row, and {usual.min():g} to "
            f"{usual.max():g} in the others",
            code="table.wild_target",
            where=shown(name),
            hint="correct that row, or remove it",
        )
    return Target(name, level.mean, level.scale, unit)
