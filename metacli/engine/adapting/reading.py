"""What `adapt` works on: the source model with its learner, and the user's examples as tensors."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from metacli.data.tables.choice import NOTHING_SAID, Choice
from metacli.data.user.open import Task, load_task
from metacli.engine.adapting.any_way import any_way_hint
from metacli.engine.adapting.source import Source
from metacli.engine.events import Notice, Progress, Reporter
from metacli.engine.models.parts import NO_COLUMNS, Columns
from metacli.errors import DataError
from metacli.schema.few_shot import FewShotRecipe
from metacli.types import Batch


@dataclass(frozen=True)
class Job:
    """One `adapt`.

    Args:
        holdout: share of the support to score on.
        onto: tasks that the examples are added to, with what was said of their columns, and
            `columns` what those of the model are called that was adapted to them.
        overrides: of the learner's fields.
        choice: what is said of the columns of tables.
    """

    task: Path
    source: Source
    holdout: float | None
    seed: int
    device: torch.device
    report: Reporter
    onto: tuple[tuple[Path, Choice], ...] = ()
    overrides: tuple[str, ...] = ()
    choice: Choice = NOTHING_SAID
    columns: Columns = NO_COLUMNS


@dataclass(frozen=True)
class Read:
    """The task's examples as tensors; y of a regression [M, 1] as the network sees it."""

    task: Task
    x: Tensor
    y: Tensor
    query: Batch | None


def read(job: Job, skip_bad: bool, allow_duplicates: bool) -> Read:
    """Decode the task for the source's input. Raises DataError with every problem."""
    task = load_task(
        job.task,
        job.source.inputs.wanted(job.columns),
        onto=job.onto,
        choice=job.choice,
        skip_bad=skip_bad,
        allow_duplicates=allow_duplicates,
        report=lambda what, done, total: job.report(Progress(what, done, total)),
    )
    for finding in task.findings:
        where = "" if finding.where is None else f" - {finding.where}"
        job.report(Notice(f"{finding.message}{where}", finding.code))
    warn_about_paper(job, task)
    assert task.support.y is not None
    query = None
    if task.query is not None and task.query.y is not None:
        query = Batch(tensor(task.query.x, job), targets(task.query.y, job))
    return Read(task, tensor(task.support.x, job), targets(task.support.y, job), query)


def targets(y: np.ndarray, job: Job) -> Tensor:
    """Labels [M]; or numbers [M, 1] as the network sees them."""
    if job.source.kind == "classification":
        return tensor(y, job)
    scaled = job.source.inputs.unscaled.encode(y)
    return tensor(scaled.astype(np.float32)[:, None], job)


def tensor(values: np.ndarray, job: Job) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(values)).to(job.device)


def warn_about_paper(job: Job, task: Task) -> None:
    """A model of dark strokes on light paper sees nothing sensible in light strokes on dark."""
    if job.source.inputs.invert and float(task.support.x.mean()) < 100:
        job.report(
            Notice(
                "these pictures are mostly dark, and the model was trained on dark strokes on "
                "light paper: invert them",
                "adapt.dark_paper",
            )
        )


def require_classes(source: Source, task: Task) -> None:
    """Raises DataError when a fixed head meets another number of classes."""
    fixed = not source.learner.any_way and source.kind == "classification"
    if fixed and len(task.labels) != source.way:
        assert isinstance(source.recipe, FewShotRecipe)  # every transfer method takes any number
        raise DataError(
            f"{source.recipe.algorithm.name} has a head of {source.way} classes, "
            f"{task.path} has {len(task.labels)}",
            code="model.fixed_way",
            where=str(task.path),
            hint=f"--method prototype; or train another model: {any_way_hint()}",
        )


def described(examples: Read) -> dict[str, Any]:
    task = examples.task
    of_rows = {"target": task.target, "unit": task.unit} if task.target else {}
    return {
        "path": str(task.path.absolute()),
        "kind": task.kind,
        "type": task.type,
        "labels": list(task.labels),
        "support": len(examples.y),
        "query": 0 if examples.query is None else len(examples.query.y),
        "guessed": list(task.guessed),
        "skipped": task.skipped,
        "duplicates": task.duplicates,
        **of_rows,
    }
