"""What `tune` returns: every training of the search, and the best one as a recipe."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from metacli.engine.results.base import Part, Result


@dataclass(frozen=True)
class Trial(Part):
    """One training: its settings, what it reached on validation (None: it failed), how long."""

    number: int
    settings: tuple[str, ...]
    value: float | None
    seconds: float | None
    status: str
    error: str | None


@dataclass(frozen=True, eq=False)
class TuneResult(Result):
    """`run` is the folder of the search, `recipe` the best settings as a file to train."""

    run: Path
    recipe: Path
    metric: str
    best: Trial
    trials: tuple[Trial, ...]
    resume_command: str
