"""One reader of tables: separated columns, JSON lines and Parquet become text cells, or an error
that names row and column.

A row is numbered as a spreadsheet numbers it: the header of a CSV is row 1. Byte order marks and
CRLF are accepted; what else a file may hold that is not a table of UTF-8 text is refused, since a
guess about it would be silent. What the cells mean is decided in `columns.py`.
"""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING
from weakref import WeakValueDictionary

import numpy as np

from metacli.data.files import read_regular, shown
from metacli.data.tables.cells import MISSING, is_small, of_every_cell
from metacli.data.tables.formats import READERS, separated
from metacli.errors import DataError

if TYPE_CHECKING:
    import polars as pl

MAX_COLUMNS = 20_000
LARGE = 1e30  # float32 holds it; a square or a sum of squares float64 does
MANY, KEPT = 64, 4_000_000  # columns, and cells, of a table whose numbers are read at once


@dataclass(frozen=True)
class Table:
    """Cells as text, columns by name.

    Args:
        name: what errors call it, fit to print.
        frame: a polars DataFrame of strings; null is a missing cell.
        first: number of the first row below the header.
        places: of each row that is left, how many stand before it in the file; None: all are left.
        guessed: what was decided by looking, in words.
    """

    name: str
    frame: pl.DataFrame
    first: int = 2
    guessed: tuple[str, ...] = ()
    places: tuple[int, ...] | None = None

    @cached_property
    def columns(self) -> tuple[str, ...]:
        return tuple(self.frame.columns)

    def __len__(self) -> int:
        return int(self.frame.height)

    def row(self, number: int) -> str:
        """Where the row is, for a message: `scores.csv:7`."""
        return f"{self.name}:{self.number_of(number)}"

    def number_of(self, row: int) -> int:
        """Its number in the file, as a spreadsheet shows it."""
        return self.first + (row if self.places is None else self.places[row])

    def rows(self, numbers: Sequence[int] | np.ndarray) -> Table:
        """Some of the rows, which keep their numbers in the file."""
        at = np.asarray(numbers, np.int64)
        before = range(len(self)) if self.places is None else self.places
        places = tuple(before[row] for row in at.tolist())
        return replace(self, frame=self.frame[at], places=places)

    def require(self, name: str) -> str:
        """The name itself. Raises DataError naming the nearest and all columns."""
        if name in self._places:
            return name
        near = difflib.get_close_matches(name, self.columns, n=1)
        have = ", ".join(shown(one) for one in self.columns[:20])
        raise DataError(
            f"{self.name} has no column {shown(name)!r}; it has {have}",
            code="table.no_column",
            where=self.name,
            hint=f"did you mean {shown(near[0])!r}?" if near else None,
        )

    def known(self, names: Sequence[str]) -> pl.DataFrame:
        """Cells of some columns without the blanks around them; null where missing."""
        wanted = [self.require(name) for name in names]
        return self._known[wanted] if self.is_kept else known_of(self.frame[wanted])

    def words(self, name: str) -> list[str | None]:
        """Cells without the blanks around them; None where missing."""
        found: list[str | None] = self.known([name]).to_series().to_list()
        return found

    def keys(self, names: Sequence[str]) -> list[str]:
        """Of each row what says whether another one is the same: its `words` in these columns."""
        if not names:
            return ["()"] * len(self)
        # What is missing looks like no cell that is not, and no cell of a file of text holds NUL.
        known, separator = self.known(names), "\0"
        if is_small(known):
            return [
                separator.join(["" if one is None else one for one in row]) for row in known.rows()
            ]
        import polars as pl  # slow to import

        cells = pl.concat_str(pl.all().fill_null(""), separator=separator)
        found: list[str] = known.select(cells).to_series().to_list()
        return found

    def texts(self, name: str) -> list[str]:
        """Cells as they are. Raises DataError for an empty one."""
        cells: list[str | None] = self.frame[self.require(name)].to_list()
        for number, cell in enumerate(cells):
            if cell is None or not cell.strip():
                raise self.cell_error("is empty", number, name, "table.empty_text")
        return [cell or "" for cell in cells]

    def parsed(self, name: str) -> tuple[np.ndarray, np.ndarray]:
        """Cells as float64 [M], NaN where they are no number, and which are missing. Of a wide or
        small table all columns are read at once, and kept."""
        if self.is_kept:
            (values, missing), at = self.every_number, self._places[self.require(name)]
        else:
            (values, missing), at = parsed_of(self.known([name])), 0
        return values[:, at], missing[:, at]

    @cached_property
    def is_wide(self) -> bool:
        """Whether its columns are many and its cells can be kept as words and numbers, too."""
        return self.frame.width > MANY and self.frame.width * self.frame.height <= KEPT

    @cached_property
    def is_small(self) -> bool:
        """Whether its cells are so few that all are made ready where one column is asked for."""
        return is_small(self.frame)

    @property
    def is_kept(self) -> bool:
        """Whether all cells are made ready at once, and kept."""
        return self.is_wide or self.is_small

    @cached_property
    def _places(self) -> dict[str, int]:
        return {name: place for place, name in enumerate(self.frame.columns)}

    @cached_property
    def _known(self) -> pl.DataFrame:
        return known_of(self.frame)

    @cached_property
    def every_number(self) -> tuple[np.ndarray, np.ndarray]:
        """`parsed` of all columns, [M, C]."""
        return parsed_of(self._known)

    def numbers(self, name: str) -> np.ndarray:
        """float64 [M], NaN where missing. Raises DataError for a cell that is no finite number."""
        values, missing = self.parsed(name)
        bad = np.flatnonzero(~missing & ~(np.abs(values) <= LARGE))
        if len(bad):
            cell = shown(str(self.frame[name].str.strip_chars()[int(bad[0])])[:40])
            finite = bool(np.isfinite(values[bad[0]]))
            raise self.cell_error(
                f"is {cell!r}, beyond ±{LARGE:g}"
                if finite
                else f"is {cell!r}, not a finite number",
                int(bad[0]),
                name,
                "table.too_large" if finite else "table.not_a_number",
                "give the column another unit"
                if finite
                else "put it right, or leave the cell empty if it is missing",
            )
        return np.where(missing, np.nan, values)

    def column_error(self, name: str, what: str, code: str, hint: str | None = None) -> DataError:
        """An error about one column."""
        where = f"{self.name}, column {shown(name)}"
        message = f"column {shown(name)} of {self.name} {what}"
        return DataError(message, code=code, where=where, hint=hint)

    def cell_error(
        self, what: str, number: int, column: str, code: str, hint: str | None = None
    ) -> DataError:
        """An error about one cell."""
        where = f"{self.row(number)}, column {shown(column)}"
        message = f"row {self.number_of(number)}, column {shown(column)} of {self.name} {what}"
        return DataError(message, code=code, where=where, hint=hint)


_PARSED: WeakValueDictionary[tuple[bytes, str, str], Table] = WeakValueDictionary()
"""Tables that somebody still has, by what they were made of: a task is listed, and then read for
every kind of input."""


def known_of(frame: pl.DataFrame) -> pl.DataFrame:
    """Cells without the blanks around them; null where missing."""
    import polars as pl  # slow to import

    def known(cell: pl.Expr) -> pl.Expr:
        bare = cell.str.strip_chars()
        return pl.when(bare.is_in(MISSING)).then(None).otherwise(bare)

    return of_every_cell(frame, known)


def parsed_of(known: pl.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    """Cells as float64 [M, C], NaN where they are no number, and which are missing [M, C]."""
    import polars as pl  # slow to import

    nan = float("nan")
    numbers = of_every_cell(known, lambda cell: cell.cast(pl.Float64, strict=False).fill_null(nan))
    missing = of_every_cell(known, lambda cell: cell.is_null())
    return numbers.to_numpy(), missing.to_numpy()


def read_table(path: Path) -> Table:
    """The table in a file, by the ending of its name.

    Raises:
        DataError: missing, unreadable, or not a table; row and column are named.
    """
    return parse_table(read_regular(path), path.suffix.lower().lstrip("."), shown(path.name))


def parse_table(content: bytes, ending: str, name: str) -> Table:
    """The table in some bytes.

    Args:
        ending: csv, tsv, jsonl, parquet, ...; another one is read as columns of text.
        name: what errors call it.
    Raises:
        DataError: not a table; row and column are named.
    """
    key = (blake2b(content, digest_size=16).digest(), ending, name)
    if (known := _PARSED.get(key)) is not None:
        return known
    columns, first, guessed = READERS.get(ending, separated)(content, ending, name)
    table = Table(name, columns, first, guessed)
    if not table.columns or not len(table):
        raise DataError(f"{name} has no rows", code="table.empty", where=name)
    if len(table.columns) > MAX_COLUMNS:
        message = f"{name} has {len(table.columns)} columns; at most {MAX_COLUMNS} are read"
        raise DataError(message, code="table.too_wide", where=name)
    _PARSED[key] = table
    return table
