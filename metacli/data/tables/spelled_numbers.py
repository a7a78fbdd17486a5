"""Numbers as people spell them in cells: $1,234.50, 1.234,50 €, 1 234,5, 1'234.50, 12.5 %, −5.

A column whose cells are all spelled in one way is read as the plain numbers; each way is told from
the cell alone, so that a table of a single row means the same as the whole.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from metacli.data.tables.cells import of_every_cell
from metacli.data.tables.strays import stray_cell

if TYPE_CHECKING:
    import polars as pl

SIGNS = "$€£¥₹"
MINUS = "−"  # the typographic one
BLANKS = "    "  # the narrow and unbreakable ones, too
MARKS = "'’"
_BEFORE = rf"^[-+{MINUS}]?(?:[{SIGNS}][{BLANKS}]?)?[-+{MINUS}]?"
_AFTER = rf"(?:[{BLANKS}]?(?:[{SIGNS}]|%|EUR|USD|GBP|CHF))?$"
_GROUPS = (
    rf"[1-9]\d{{0,2}}(?:[{BLANKS}{MARKS}]\d{{3}})+"  # a leading 0 is one of a telephone number
)

_TOLD = (
    rf"[,{SIGNS}%{MINUS}]|[A-Z]{{3}}$|\d[{BLANKS}{MARKS}]\d"  # in a cell that is no plain number
)


_COMMA_NUMBER = r"^\s*[-+]?\d+(,\d+)?\s*$"
COMMAS = "points between thousands and decimal commas"


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
    return bare(cells).str.replace_all(",", "", literal=True)


def commas(cells: pl.Expr) -> pl.Expr:
    """The same of numbers with decimal commas."""
    return decimals(bare(cells).str.replace_all(".", "", literal=True))


def decimals(cells: pl.Expr) -> pl.Expr:
    """The same of numbers in which a comma is always a decimal one."""
    return bare(cells).str.replace(",", ".", literal=True)


def bare(cells: pl.Expr) -> pl.Expr:
    signs = rf"[{SIGNS}%{BLANKS}{MARKS}]|EUR|USD|GBP|CHF"
    return cells.str.replace_all(signs, "").str.replace_all(MINUS, "-", literal=True)


SPELLINGS = (
    Spelling(
        "commas between thousands",
        rf"{_BEFORE}(?:\d{{1,3}}(?:,\d{{3}})+|\d+)(?:\.\d+)?{_AFTER}",
        rf"{_BEFORE}\d{{1,3}}(?:,\d{{3}})+(?:\.\d+)?{_AFTER}",
        points,
    ),
    Spelling(
        COMMAS,
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
    Spelling(
        "blanks or apostrophes between thousands",
        rf"{_BEFORE}(?:{_GROUPS}|\d+)(?:\.\d+|,\d{{1,2}})?{_AFTER}",
        rf"{_BEFORE}{_GROUPS}(?:\.\d+|,\d{{1,2}})?{_AFTER}",
        decimals,
    ),
    Spelling("long minus signs", rf"{_BEFORE}\d+(?:\.\d+)?$", MINUS, points),
)
"""The first that fits a column. A single comma before three digits stands between thousands unless
columns are separated by semicolons, whose decimal commas are read before."""


def plain_numbers(
    frame: pl.DataFrame, missing: tuple[str, ...]
) -> tuple[pl.DataFrame, dict[str, list[str]]]:
    """The frame with such columns as plain numbers, and their names by the words of the spelling.

    A column is one only if all of its signs are alike: of dollars and euros nothing is made. Where
    a few cells are no number, as - or n.v. are, the others are made plain all the same, so that
    those few are named instead of everything being taken for words.

    Args:
        missing: cells that say nothing.
    """
    import polars as pl  # slow to import

    if not frame.width:
        return frame, {}
    made, found = [], dict[str, list[str]]()
    told = of_every_cell(frame, lambda cell: cell.str.strip_chars().str.contains(_TOLD))
    may_be_spelled = told.select(pl.all().any()).row(0)
    for name, may_be in zip(frame.columns, may_be_spelled, strict=True):
        if not may_be:
            continue
        cells = frame[name].drop_nulls().str.strip_chars()
        cells = cells.filter(~cells.is_in(missing))
        if not len(cells) or not cells.str.contains(_TOLD).any():
            continue
        way = next((one for one in SPELLINGS if fits(cells, one)), None)
        if way is not None and len(signs_of(cells)) <= 1:
            made.append(where_like(way.cell, name, way.plain))
            found.setdefault(way.words, []).append(name)
    return (frame.with_columns(made), found) if made else (frame, found)


def as_spelled(cells: Sequence[str]) -> dict[str, str]:
    """Which of these cells a plain number was read from, where that is sure: 5% by 5."""
    import polars as pl  # slow to import

    frame, found = pl.DataFrame({"cell": cells}), dict[str, set[str]]()
    for pattern, plain in [(_COMMA_NUMBER, decimals), *((o.cell, o.plain) for o in SPELLINGS)]:
        made = frame.select(where_like(pattern, "cell", plain)).to_series().to_list()
        for cell, number in zip(cells, made, strict=True):
            found.setdefault(number, set()).add(cell)
    return {number: min(of) for number, of in found.items() if len(of) == 1}


def fits(cells: pl.Series, way: Spelling) -> bool:
    """Whether all cells are spelled in this way, or those of a quantity with a few strays."""
    return bool(cells.str.contains(way.told).any()) and all_but_few(cells, way.cell, way.plain)


def all_but_few(cells: pl.Series, pattern: str, plain: Callable[[pl.Expr], pl.Expr]) -> bool:
    """Whether all cells are like the pattern, or all but the strays of a quantity."""
    alike = cells.str.contains(pattern)
    if alike.all():
        return True
    made = cells.to_frame("cell").select(where_like(pattern, "cell", plain)).to_series()
    return bool(2 * alike.sum() >= len(cells)) and stray_cell(made.to_list()) is not None


def where_like(pattern: str, name: str, plain: Callable[[pl.Expr], pl.Expr]) -> pl.Expr:
    """A column with the cells that are like the pattern made plain, and the others as they are."""
    import polars as pl  # slow to import

    cell = pl.col(name)
    like = cell.str.strip_chars().str.contains(pattern)
    return pl.when(like).then(plain(cell)).otherwise(cell).alias(name)


def with_points(frame: pl.DataFrame, missing: tuple[str, ...]) -> tuple[pl.DataFrame, list[str]]:
    """Columns of numbers with decimal commas, 1,5, as numbers with points; and their names."""
    changed = []
    for one in frame.columns:
        cells = frame[one].drop_nulls().str.strip_chars()
        cells = cells.filter(~cells.is_in(missing))
        if cells.str.contains(",").any() and all_but_few(cells, _COMMA_NUMBER, decimals):
            changed.append(one)
    made = [where_like(_COMMA_NUMBER, one, decimals) for one in changed]
    return frame.with_columns(made) if changed else frame, changed


def without_groups(frame: pl.DataFrame, missing: tuple[str, ...]) -> tuple[pl.DataFrame, list[str]]:
    """Columns of whole numbers with points between thousands, 950 and 1.234, as plain numbers, in a
    table where other columns have decimal commas; and their names.

    Where every number has one point and three digits behind it, as degrees of latitude have,
    nothing is changed.
    """
    import polars as pl  # slow to import

    changed = []
    for one in frame.columns:
        cells = frame[one].drop_nulls().str.strip_chars()
        cells = cells.filter(~cells.is_in(missing))
        whole = cells.str.contains(r"^[-+]?(\d{1,3}|[1-9]\d{0,2}(\.\d{3})+)$").all()
        points = cells.str.count_matches(".", literal=True)
        if len(cells) and whole and points.max() and points.n_unique() > 1:
            changed.append(one)
    made = [pl.col(one).str.replace_all(".", "", literal=True) for one in changed]
    return frame.with_columns(made) if changed else frame, changed


def signs_of(cells: pl.Series) -> set[str]:
    """What the numbers are of, in the cells that say it."""
    return set(re.findall(rf"[{SIGNS}%]|EUR|USD|GBP|CHF", " ".join(cells.unique().to_list())))
