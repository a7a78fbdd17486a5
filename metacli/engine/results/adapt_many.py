"""What `adapt` returns for a folder of tasks: a row for each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from metacli.engine.results.adapt import Doubt
from metacli.engine.results.base import Json, Part, Result
from metacli.engine.scoring.intervals import Comparison


@dataclass(frozen=True)
class TaskRow(Part):
    """One task of the folder.

    Args:
        status: `adapted`; `kept`, where a model was there already; or `failed`.
        delta: the score minus that of the best model that needs no source; positive is better.
        value, low, high, n: the score with its 95 % interval over `n` held-out examples; None where
            nothing could be held out, or the task failed.
        doubts: what speaks against the model; None for nothing.
        error: `code` and `message` of what failed.
    """

    optional: ClassVar[frozenset[str]] = frozenset({"delta", "doubts"})

    name: str
    path: Path
    model: Path | None
    status: str
    metric: str | None = None
    value: float | None = None
    low: float | None = None
    high: float | None = None
    n: int | None = None
    chance: float | None = None
    verdict: str | None = None
    delta: float | None = None
    seconds: float | None = None
    error: Mapping[str, Json] | None = None
    doubts: tuple[Doubt, ...] | None = None


@dataclass(frozen=True)
class TransferOverTasks(Part):
    """Whether the source helps in tasks like these: the mean difference over `tasks` of them to the
    best model of each that needs no source. What one task is too small to show many may show."""

    found: Comparison
    tasks: int

    def as_dict(self) -> dict[str, Json]:
        return {**self.found.as_dict(), "tasks": self.tasks}


@dataclass(frozen=True, eq=False)
class Adaptations(Result):
    """A folder of models, one for each task.

    Args:
        model: the folder; None after a dry run.
        mean, ci95: of the scores over the tasks, Student's t, which one task has not.
        worst: the task with the lowest score (of errors the highest).
        transfer: where at least two tasks were compared.
    """

    optional: ClassVar[frozenset[str]] = frozenset({"transfer", "dry_run"})

    model: Path | None
    source: tuple[str, ...]
    method: str
    tasks: tuple[TaskRow, ...]
    adapted: int
    kept: int
    failed: int
    metric: str | None
    mean: float | None
    ci95: float | None
    worst: str | None
    device: str
    transfer: TransferOverTasks | None = None
    dry_run: bool | None = None

    def as_dict(self) -> dict[str, Json]:
        found = super().as_dict()
        found["from"] = found.pop("source")
        return found
