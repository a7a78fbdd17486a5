"""What `report` returns."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from metacli.engine.results.base import Result


@dataclass(frozen=True, eq=False)
class ReportResult(Result):
    """The page that was written, and its size."""

    file: Path
    bytes: int
