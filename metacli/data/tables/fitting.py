"""What a table's rows are encoded with is fitted to the rows that are learned from: means, scales,
categories, and what a date tells."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from metacli.data.files import shown
from metacli.data.tables.dates import order_of, part_numbers, parts_of
from metacli.data.tables.encoding import Categorical, Column, DatePart, Encoding, Numeric, Target
from metacli.data.tables.kinds import Kind
from metacli.data.tables.levels import level_of, levels_of
from metacli.data.tables.molecules import fit_molecules, fit_texts
from metacli.data.tables.reader import Table
from metacli.errors import DataError

MOST_CATEGORIES = 200  # values of one column


def fit_encoding(tables: Sequence[Table], kinds: Mapping[str, Kind]) -> Encoding:
    """Statistics over the rows of all these tables.

    Args:
        kinds: of the columns to read, in their order.
    Raises:
        DataError: a column is missing from a table, or has more than MOST_CATEGORIES values.
    """
    made: list[Column] = []
    numeric = _fit_numerics([name for name, kind in kinds.items() if kind == "numeric"], tables)
    for name, kind in kinds.items():
        if kind == "numeric":
            made.append(numeric[name])
        elif kind == "date":
            made += _fit_date(name, tables)
        elif kind == "molecules":
            made.append(fit_molecules(name, tables))
        elif kind == "text":
            made.append(fit_texts(name, tables))
        elif kind in ("categorical", "constant"):
            made.append(_fit_categorical(name, tables))
    return Encoding(tuple(made))


def _fit_numerics(names: Sequence[str], tables: Sequence[Table]) -> dict[str, Numeric]:
    """Columns of numbers, all at once, as there may be thousands."""
    if not names:
        return {}
    values = np.stack([np.concatenate([one.numbers(name) for one in tables]) for name in names], 1)
    levels, gone = levels_of(values), np.isnan(values).any(0).tolist()
    return {
        name: Numeric(name, level.mean, level.scale, missing, level.limit)
        for name, level, missing in zip(names, levels, gone, strict=True)
    }


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
