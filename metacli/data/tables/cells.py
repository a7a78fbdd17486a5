"""Cells that say nothing, and cells that are few."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import polars as pl

FEW = 4_000  # cells of a table, up to which a call costs more than what it does

MISSING = (
    *("", "NA", "N/A", "na", "n/a", "#N/A", "<NA>", "nan", "NaN", "NAN"),
    *("null", "NULL", "None", "?"),
)


def is_small(frame: pl.DataFrame) -> bool:
    """Whether its cells are few."""
    return frame.width * frame.height <= FEW


def of_every_cell(frame: pl.DataFrame, made: Callable[[pl.Expr], pl.Expr]) -> pl.DataFrame:
    """What an expression makes of each cell of a frame of text. Few cells are taken as one column,
    since a call for each column would take longer than what it does."""
    import polars as pl  # slow to import

    if not is_small(frame) or frame.width < 2:
        return frame.select(made(pl.all()).name.keep())
    cells = frame.unpivot(value_name="cell").select_seq(made(pl.col("cell")).name.keep())
    return columns_of(cells.to_series(), frame.columns)


def columns_of(cells: pl.Series, names: Sequence[str]) -> pl.DataFrame:
    """The columns of a frame whose cells stand in one, a column after the other."""
    import polars as pl  # slow to import

    rows = len(cells) // len(names)
    return pl.DataFrame([cells.slice(at * rows, rows).alias(of) for at, of in enumerate(names)])
