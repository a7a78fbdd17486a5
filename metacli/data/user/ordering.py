"""The order of a table's rows: by a column that was named, as they stand, and whether they look as
if they had one."""

from __future__ import annotations

import re

import numpy as np

from metacli.data.files import shown
from metacli.data.tables.dates import moment_of, order_of
from metacli.data.tables.reader import Table
from metacli.errors import DataError

ROWS = "rows"  # the file's own order
NAMED = re.compile(r"(?i)(.*[_\W])?(time|date|datetime|timestamp|year|step|tick|epoch|t)([_\W].*)?")
FEWEST = 10  # rows that say anything of an order


def ranks(table: Table, column: str) -> np.ndarray:
    """Row numbers from the first to the last by a column of numbers or dates, int64 [M]; `rows`
    where no column is called so: as they stand. Equal cells stay in the file's order.

    Raises:
        DataError: no such column, an empty cell, or cells that are neither numbers nor dates.
    """
    if column == ROWS and column not in table.columns:
        return np.arange(len(table))
    keys = moments(table, table.require(column))
    if keys is None:
        keys = table.numbers(column)
    empty = np.flatnonzero(np.isnan(keys))
    if len(empty):
        message, code = "is empty, so the row has no place in the order", "table.no_order"
        raise table.cell_error(message, int(empty[0]), column, code, "--order rows")
    return np.argsort(keys, kind="stable")


def moments(table: Table, column: str) -> np.ndarray | None:
    """Days, float64 [M], NaN where a cell is missing; None where the cells are no dates."""
    cells = table.words(column)
    order = order_of(cells)
    if order is None:
        return None
    found = np.full(len(cells), np.nan)
    for number, cell in enumerate(cells):
        moment = None if cell is None else moment_of(cell, order)
        if moment is not None:
            day = 0 if moment.day is None else moment.day.toordinal()
            found[number] = day + (moment.hour or 0.0) / 24
    return found


def looks_ordered(table: Table) -> str | None:
    """The column by which the rows stand in order: one of dates, or of numbers with a name of
    time, that only rises or only falls; None where there is none."""
    if len(table) < FEWEST:
        return None
    for name in table.columns:
        keys = None if holds_numbers(table, name) else moments(table, name)
        if keys is None and NAMED.fullmatch(name):
            try:
                keys = table.numbers(name)
            except DataError:
                keys = None
        if keys is None or np.isnan(keys).any() or 2 * len(np.unique(keys)) < len(keys):
            continue
        steps = np.diff(keys)
        if (steps >= 0).all() or (steps <= 0).all():
            return shown(name)
    return None


def holds_numbers(table: Table, name: str) -> bool:
    """Whether a column of a wide table has a number, which no date is: told at once for all
    columns."""
    if not table.is_wide:
        return False
    values, missing = table.parsed(name)
    return bool((np.isfinite(values) & ~missing).any())


def autocorrelation(residuals: np.ndarray) -> float | None:
    """Of neighbours, where it is beyond chance at one in a hundred (r > 2.33 / √M, M >= 30);
    otherwise None."""
    count = len(residuals)
    away = residuals - residuals.mean()
    power = float((away**2).sum())
    if count < 3 * FEWEST or not power > 0:
        return None
    found = float((away[1:] * away[:-1]).sum()) / power
    return found if found > 2.33 / count**0.5 else None
