"""Numbers as people spell them in cells: $1,234.50, 1.234,50 €, 12.5 %.

A column whose cells are all spelled in one way is read as the plain numbers; each way is told from
the cell alone, so that a table of a single row means the same as the whole.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from metacli.data.tables.cells import computed

if TYPE_CHECKING:
    import polars as pl

SIGNS = "$€£¥₹"
_BEFORE, _AFTER = rf"^[-+]?(?:[{SIGNS}] ?)?[-+]?", rf"(?: ?(?:[{SIGNS}]|%|EUR|USD|GBP|CHF))?$"

_TOLD = rf"[,{SIGNS}%]|[A-Z]{{3}}$"  # in a cell that is no plain number


@dataclass(frozen=True)
class Spelling:
    """A way to spell numbers.

    Args:
        words: for people.
        cell: what every cell looks like; told: at least one is like that, which a plain number is
            not.
        plain: expressions of a column of such cells, to plain numbers.
    """

    words: str
    cell: str
    told: str
    plain: Callable[[pl.Expr], pl.Expr]


def points(cells: pl.Expr) -> pl.Expr:
    """Without what stands between thousands, and without signs."""
    return cells.str.replace_all(rf"[,{SIGNS}% ]|EUR|USD|GBP|CHF", "")


def commas(cells: pl.Expr) -> pl.Expr:
    """The same of numbers with decimal commas."""
    bare = cells.str.replace_all(rf"[.{SIGNS}% ]|EUR|USD|GBP|CHF", "")
    return bare.str.replace(",", ".", literal=True)


SPELLINGS = (
    Spelling(
        "commas between thousands",
        rf"{_BEFORE}(?:\d{{1,3}}(?:,\d{{3}})+|\d+)(?:\.\d+)?{_AFTER}",
        rf"{_BEFORE}\d{{1,3}}(?:,\d{{3}})+(?:\.\d+)?{_AFTER}",
        points,
    ),
    Spelling(
        "points between thousands and decimal commas",
        rf"{_BEFORE}(?:\d{{1,3}}(?:\.\d{{3}})+|\d+),\d+{_AFTER}",
        rf"{_BEFORE}(?:\d{{1,3}}(?:\.\d{{3}})+,\d+{_AFTER}|\d+,\d+ ?[{SIGNS}%])",
        commas,
    ),
    Spelling(
        "signs of money or per cent",
        rf"{_BEFORE}\d+(?:\.\d+)?{_AFTER}",
        rf"[{SIGNS}%]|EUR|USD|GBP|CHF",
        points,
    ),
)
"""The first that fits a column. A single comma before three digits stands between thousands unless
columns are separated by semicolons, whose decimal commas are read before."""


def plain_numbers(
    frame: pl.DataFrame, missing: tuple[str, ...]
) -> tuple[pl.DataFrame, dict[str, list[str]]]:
    """The frame with such columns as plain numbers, and their names by the words of the spelling.

    A column is one only if all of its signs are alike: of dollars and euros nothing is made.

    Args:
        missing: cells that say nothing.
    """
    import polars as pl  # slow to import

    if not frame.width:
        return frame, {}
    made, found = [], dict[str, list[str]]()
    spelled = pl.all().str.strip_chars().str.contains(_TOLD).any()  # of all columns at once
    for name, may_be in zip(frame.columns, computed(frame, spelled).row(0), strict=True):
        if not may_be:
            continue
        cells = frame[name].drop_nulls().str.strip_chars()
        cells = cells.filter(~cells.is_in(missing))
        if not len(cells) or not cells.str.contains(_TOLD).any():
            continue
        way = next((one for one in SPELLINGS if fits(cells, one)), None)
        if way is not None and len(signs_of(cells)) <= 1:
            made.append(way.plain(pl.col(name)))
            found.setdefault(way.words, []).append(name)
    return (frame.with_columns(made), found) if made else (frame, found)


def fits(cells: pl.Series, way: Spelling) -> bool:
    return bool(cells.str.contains(way.cell).all() and cells.str.contains(way.told).any())


def signs_of(cells: pl.Series) -> set[str]:
    """What the numbers are of, in the cells that say it."""
    return set(re.findall(rf"[{SIGNS}%]|EUR|USD|GBP|CHF", " ".join(cells.unique().to_list())))
