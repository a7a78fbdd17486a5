"""What `evaluate` returns for a folder of models: a row for each task."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from metacli.engine.results.adapt_many import TaskRow
from metacli.engine.results.base import Result


@dataclass(frozen=True, eq=False)
class Evaluations(Result):
    """Each model of a folder on its task.

    Args:
        model: the folder of models; `data` the folder of tasks.
        tasks: `status` is `evaluated` or `failed`, `readable` in a dry run.
        mean, ci95: of the scores over the tasks, Student's t, which one task has not; None where
            they are measured by different metrics.
        worst: the task with the lowest score (of errors the highest).
        query: labelled examples of all tasks.
        scores: the file of all their scores, where one was asked for.
    """

    optional: ClassVar[frozenset[str]] = frozenset({"scores", "dry_run"})

    model: Path
    data: Path | None
    tasks: tuple[TaskRow, ...]
    evaluated: int
    failed: int
    metric: str | None
    mean: float | None
    ci95: float | None
    worst: str | None
    query: int
    scores: Path | None = None
    dry_run: bool | None = None
