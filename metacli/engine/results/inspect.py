"""What `inspect` returns."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from metacli.engine.results.base import Json, Result
from metacli.errors import Finding


@dataclass(frozen=True, eq=False)
class InspectResult(Result):
    """What a path holds.

    Args:
        valid: there are no errors; warnings and notes do not count.
        details: facts by name, which depend on `what`.
        next: commands that make sense now, the likeliest first.
    """

    what: str
    path: Path
    valid: bool
    problems: tuple[Finding, ...]
    details: Mapping[str, Json]
    next: tuple[str, ...]
