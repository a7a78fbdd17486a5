"""Cells that say nothing."""

from __future__ import annotations

MISSING = (
    *("", "NA", "N/A", "na", "n/a", "#N/A", "<NA>", "nan", "NaN", "NAN"),
    *("null", "NULL", "None", "?"),
)
