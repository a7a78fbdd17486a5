"""Cells that say nothing, and cells that are few."""

from __future__ import annotations

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


def computed(frame: pl.DataFrame, columns: pl.Expr) -> pl.DataFrame:
    """`frame.select`, in this thread alone where waking others would take longer."""
    return frame.select_seq(columns) if is_small(frame) else frame.select(columns)
