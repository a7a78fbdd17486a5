"""What `export` returns for a folder of models: a row for each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from metacli.engine.results.base import Json, Part, Result
from metacli.engine.results.export import Parity


@dataclass(frozen=True)
class ExportRow(Part):
    """One model of the folder.

    Args:
        status: `exported` or `failed`; `agrees` in a dry run.
        file, bytes, parity: as of one model; None where it failed.
        error: `code` and `message` of what failed.
    """

    name: str
    model: Path
    status: str
    file: Path | None = None
    bytes: int | None = None
    parity: Parity | None = None
    error: Mapping[str, Json] | None = None


@dataclass(frozen=True, eq=False)
class Exports(Result):
    """A folder of files; None after a dry run."""

    optional: ClassVar[frozenset[str]] = frozenset({"dry_run"})

    folder: Path | None
    format: str
    tasks: tuple[ExportRow, ...]
    exported: int
    failed: int
    dry_run: bool | None = None
