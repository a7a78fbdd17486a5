"""From the cells of a table to numbers for a network, and from its numbers back to the target.

Statistics and categories are those of the rows that were learned from; they are plain data and part
of the model, so that every later row is read the same way.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from metacli.data.files import shown
from metacli.data.tables.columns import Kind
from metacli.data.tables.reader import Table
from metacli.errors import DataError

MOST_CATEGORIES = 200  # values of one column


@dataclass(frozen=True)
class Numeric:
    """(x - mean) / scale, and with `missing` a second number: 1 where the cell was empty, whose
    first number is then 0, the mean."""

    name: str
    mean: float
    scale: float
    missing: bool

    @property
    def width(self) -> int:
        return 2 if self.missing else 1

    def encode(self, table: Table) -> np.ndarray:
        values = table.numbers(self.name)
        gone = np.isnan(values)
        scaled = np.where(gone, 0.0, (values - self.mean) / self.scale)
        return np.stack([scaled, gone], 1) if self.missing else scaled[:, None]

    def as_dict(self) -> dict[str, Any]:
        return {"kind": "numeric", **self.__dict__}


@dataclass(frozen=True)
class Categorical:
    """One number for each value, and the last for a value that is missing or was never seen."""

    name: str
    values: tuple[str, ...]

    @property
    def width(self) -> int:
        return len(self.values) + 1

    def encode(self, table: Table) -> np.ndarray:
        place = {value: number for number, value in enumerate(self.values)}
        unknown = len(self.values)
        at = [unknown if w is None else place.get(w, unknown) for w in table.words(self.name)]
        return np.eye(self.width)[at]

    def as_dict(self) -> dict[str, Any]:
        return {"kind": "categorical", "name": self.name, "values": list(self.values)}


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

    def as_dict(self) -> dict[str, Any]:
        return dict(self.__dict__)


@dataclass(frozen=True)
class Encoding:
    """How the inputs of a table become x [M, D]."""

    columns: tuple[Numeric | Categorical, ...]

    @property
    def width(self) -> int:
        return sum(one.width for one in self.columns)

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(one.name for one in self.columns)

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

    def as_dict(self) -> dict[str, Any]:
        return {"name": "table", "columns": [one.as_dict() for one in self.columns]}

    @classmethod
    def from_dict(cls, value: Mapping[str, Any]) -> Encoding:
        made: list[Numeric | Categorical] = []
        for one in value["columns"]:
            given = {key: item for key, item in one.items() if key != "kind"}
            if one["kind"] == "numeric":
                made.append(Numeric(**given))
            else:
                made.append(Categorical(given["name"], tuple(given["values"])))
        return cls(tuple(made))


def fit_encoding(tables: Sequence[Table], kinds: Mapping[str, Kind]) -> Encoding:
    """Statistics over the rows of all these tables.

    Args:
        kinds: of the columns to read, in their order.
    Raises:
        DataError: a column is missing from a table, or has more than MOST_CATEGORIES values.
    """
    made: list[Numeric | Categorical] = []
    for name, kind in kinds.items():
        if kind == "numeric":
            made.append(_fit_numeric(name, np.concatenate([one.numbers(name) for one in tables])))
        elif kind in ("categorical", "constant"):
            made.append(_fit_categorical(name, tables))
    return Encoding(tuple(made))


def _fit_numeric(name: str, values: np.ndarray) -> Numeric:
    known = values[~np.isnan(values)]
    mean = float(known.mean()) if len(known) else 0.0
    scale = float(known.std()) if len(known) else 0.0
    tiny = 1e-12 * max(1.0, abs(mean))
    return Numeric(name, mean, scale if scale > tiny else 1.0, len(known) < len(values))


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
    """Mean and standard deviation of a target's numbers."""
    scale = float(values.std())
    return Target(name, float(values.mean()), scale if scale > 1e-12 else 1.0, unit)
