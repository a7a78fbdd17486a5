"""What the cells of a column are: numbers, dates, words, texts, paths of images, or the names of
the rows, from which nothing can be learned."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np

from metacli.data.files import mode_of
from metacli.data.images import FILE_SUFFIXES
from metacli.data.tables.dates import order_of
from metacli.data.tables.molecules import is_molecules
from metacli.data.tables.reader import LARGE, Table
from metacli.data.tables.strays import CHECKED_ROWS, NEARLY, stray_cell

Kind = Literal[
    "numeric", "categorical", "text", "images", "date", "constant", "identifier", "molecules"
]

IDENTIFIER_ROWS = 10  # rows that all have another word: names of the rows, not a category
TEXT_WORDS = 4  # words of a usual cell from which on it is free text
ID_NAMES = re.compile(r"(.*[_\W])?((?i:id|uuid|guid|index|idx|key))|.*[a-z]I[dD]|(?i:unnamed.*)")
WHOSE = re.compile(r"(.*[_\W])?(?i:id|uuid|guid)|.*[a-z]I[dD]")
"""Names of columns that say whose a row is, which may be more than one."""
UUID = re.compile(r"\{?[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\}?", re.IGNORECASE)


def kinds_of_columns(table: Table, names: Sequence[str], folder: Path) -> dict[str, Kind]:
    """`kind_of_column` each; of a wide table those that are plainly numeric are found at once."""
    plain = plainly_numeric(table) if table.is_wide else frozenset()
    return {one: "numeric" if one in plain else kind_of_column(table, one, folder) for one in names}


def plainly_numeric(table: Table) -> frozenset[str]:
    """Columns whose every cell is a number of a usual size, not all the same, and which do not
    number the rows."""
    values, missing = table.every_number
    usual = ~missing.any(0) & (np.abs(values) <= LARGE).all(0)  # not where it is nan
    there = np.sort(values[:, usual], axis=0)
    distinct = 1 + (np.diff(there, axis=0) != 0).sum(0)
    whole = (there == np.round(there)).all(0)
    found = (distinct > 1) & ~((distinct == len(table)) & whole)
    names = [table.columns[at] for at in np.flatnonzero(usual)[found].tolist()]
    return frozenset(one for one in names if not is_molecules(one) and not is_id_name(one))


def kind_of_column(table: Table, name: str, folder: Path) -> Kind:
    """What the cells of a column are.

    Args:
        folder: where paths of images begin.
    Raises:
        DataError: numbers or dates with a few cells that are none.
    """
    import polars as pl  # slow to import

    if table.is_wide and (found := _kind_of_numbers(table, name)) is not None:
        return found
    cells = table.known([name]).to_series()
    cells = cells.drop_nulls() if cells.null_count() else cells
    distinct = cells.n_unique()
    if is_molecules(name) and len(cells):
        return "molecules"
    if distinct <= 1:
        return "constant"
    numbers = cells.cast(pl.Float64, strict=False)
    share = 1 - numbers.null_count() / len(cells)
    if share == 1 or (share >= NEARLY and len(cells) >= CHECKED_ROWS):
        table.numbers(name)  # names the first cell that is not
        return (
            "identifier" if _counts(name, numbers.to_numpy(), distinct, len(table)) else "numeric"
        )
    words = cells.to_list()
    if share >= 0.5 and stray_cell(words) is not None:
        table.numbers(name)
    return _kind_of_words(table, name, words, distinct, folder)


def _kind_of_numbers(table: Table, name: str) -> Kind | None:
    """The same of a column that is all numbers; None of any other."""
    values, missing = table.parsed(name)
    known = values[~missing]
    if not len(known) or not np.isfinite(known).all() or is_molecules(name):
        return None
    distinct = len(np.unique(known))
    if distinct <= 1:
        return "constant"
    table.numbers(name)  # names the first cell that is out of range
    return "identifier" if _counts(name, known, distinct, len(table)) else "numeric"


def _kind_of_words(
    table: Table, name: str, cells: Sequence[str], distinct: int, folder: Path
) -> Kind:
    if order_of(cells, NEARLY if len(cells) >= CHECKED_ROWS else 1.0) is not None:
        return "date"
    if all(Path(one).suffix.lower() in FILE_SUFFIXES for one in cells) and any(
        mode_of(folder / one) for one in cells
    ):
        return "images"
    unique = distinct == len(cells) >= IDENTIFIER_ROWS
    if unique and (is_id_name(name) or all(UUID.fullmatch(one) for one in cells)):
        return "identifier"
    if says_whose(name, distinct, len(cells)):
        return "identifier"
    if distinct > len(cells) / 2 and is_free_text(cells):
        return "text"
    return "identifier" if unique else "categorical"


def _counts(name: str, values: np.ndarray, distinct: int, rows: int) -> bool:
    """Whether numbers are names of the rows: another whole number in every row, under a name that
    says so or counting 0, 1, 2 or 1, 2, 3; or `says_whose`."""
    if not (np.isfinite(values).all() and (values == np.round(values)).all()):
        return False
    if says_whose(name, distinct, len(values)):
        return True
    if not distinct == len(values) == rows or rows < IDENTIFIER_ROWS:
        return False
    counted = bool((np.diff(values) == 1).all()) and values[0] in (0, 1)
    return counted or is_id_name(name)


def says_whose(name: str, distinct: int, cells: int) -> bool:
    """Whether a column says whose each row is, most of them in few rows: it would be learned by
    heart, and whether one happens to be there twice must not matter."""
    return cells >= IDENTIFIER_ROWS and distinct > cells / 2 and bool(WHOSE.fullmatch(name.strip()))


def is_id_name(name: str) -> bool:
    """Whether a column is called as identifiers are: id, user_id, userId, uuid, index, key."""
    return ID_NAMES.fullmatch(name.strip()) is not None


def is_free_text(cells: Sequence[str]) -> bool:
    """Whether the usual cell has several words."""
    return bool(np.median([len(one.split()) for one in cells]) >= TEXT_WORDS)
