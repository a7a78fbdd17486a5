"""What `report` returns for a folder of models: a row for each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from metacli.engine.results.base import Json, Part, Result


@dataclass(frozen=True)
class ReportRow(Part):
    """One model of the folder.

    Args:
        status: `reported` or `failed`.
        file, bytes: the page; None where it failed.
        error: `code` and `message` of what failed.
    """

    name: str
    model: Path
    status: str
    file: Path | None = None
    bytes: int | None = None
    error: Mapping[str, Json] | None = None


@dataclass(frozen=True, eq=False)
class Reports(Result):
    """A folder of pages."""

    folder: Path
    tasks: tuple[ReportRow, ...]
    reported: int
    failed: int
