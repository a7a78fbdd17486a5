"""`evaluate DIR TASKS`: each model of a folder on the labelled examples of its task."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch

from metacli.data.user.open import tasks_below
from metacli.engine.events import Notice, Progress
from metacli.engine.many.models import Models
from metacli.engine.many.over import (
    checked_names,
    facts_of,
    name_of,
    over_tasks,
    some_failed,
    threads_for,
    values_to_check,
    within,
)
from metacli.engine.results.adapt_many import TaskRow
from metacli.engine.results.evaluate_many import Evaluations
from metacli.engine.scoring.checks import Check, require_checks, require_known
from metacli.engine.scoring.request import Request
from metacli.engine.scoring.scorer import ExampleScorer
from metacli.errors import DataError, Interrupted, MetacliError, RunFailed, first_names
from metacli.threads import computing_with

NAMED = 5  # tasks in a message


def evaluate_each(
    models: Models, request: Request, checks: Sequence[Check], device: torch.device
) -> Evaluations:
    """A row for each task; its scores by example are where those of its model alone would be.

    Raises:
        UsageProblem: no data, or an option that is for episodes.
        DataError: no task is called like a model; or some tasks failed, and the error's `result`
            has every row.
        CheckFailed: a check on the worst task; its `result` is complete.
    """
    request.require_labelled("FOLDER_OF_TASKS/")
    assert request.data is not None
    tasks = tasks_for(models, Path(request.data), request)
    if checks:
        require_known(checks, checked_names(first_metric(models, tasks, device, request)))
    rows = []
    for number, task in enumerate(tasks):
        request.report(Progress("evaluating", number, len(tasks), "tasks"))
        rows.append(evaluate_one(models, task, device, request))
    request.report(Progress("evaluating", len(tasks), len(tasks), "tasks"))
    result = together(models, rows, request)
    if result.failed:
        hint = "mend them, then the same command"
        code = "evaluate.some_failed"
        raise some_failed(rows, result, "be evaluated", code=code, where=request.data, hint=hint)
    if checks and not request.dry_run:
        require_checks(checks, values_to_check(rows), result)
    return result


def tasks_for(models: Models, path: Path, request: Request) -> tuple[Path, ...]:
    """The tasks of a folder; or the path itself, a task that is called like a model. Models
    without a task are named in a remark.

    Raises:
        DataError: nothing there is called like a model.
    """
    tasks = tasks_below(path, request.reading.choice) or (path,)
    names = {name_of(one) for one in tasks}
    if not names & set(models.by_task):
        raise DataError(
            f"no task of {path} is called like a model of {models.path}: "
            f"{first_names(sorted(names), NAMED)} and {first_names(sorted(models.by_task), NAMED)}",
            code="evaluate.no_task",
            where=str(path),
            hint="a task's folder or table has the name of its model",
        )
    without = [name for name in models.by_task if name not in names]
    if without and len(tasks) > 1:
        count = f"{len(without)} of {len(models.by_task)} models"
        message = f"no task there for {count}: {first_names(without, NAMED)}"
        request.report(Notice(message, "evaluate.no_task"))
    return tasks


def first_metric(
    models: Models, tasks: Sequence[Path], device: torch.device, request: Request
) -> str:
    """What the first model that opens is measured by: a check on another is refused before the
    work. Raises DataError where none opens."""
    failed: MetacliError | None = None
    for name in map(name_of, tasks):
        try:
            return ExampleScorer(models.open(name, device, within(name, request.report))).metric
        except MetacliError as error:
            failed = failed or error
    assert failed is not None  # there is a task
    raise failed


def evaluate_one(models: Models, task: Path, device: torch.device, request: Request) -> TaskRow:
    """One row; what is wrong with a task is in its row. A full disk is the end of all of them."""
    name, started = name_of(task), time.monotonic()
    path = models.by_task.get(name)
    report = within(name, request.report)
    try:
        opened = models.open(name, device, report)
        own = replace(request, model=str(opened.path), data=str(task), report=report)
        with computing_with(threads_for([opened.model.inputs.kind])):
            made = ExampleScorer(opened).evaluate(own)
    except (RunFailed, Interrupted):
        raise
    except MetacliError as error:
        return TaskRow(name, task.absolute(), path, "failed", error=facts_of(error))
    return TaskRow(
        name=name,
        path=task.absolute(),
        model=path,
        status="readable" if made.dry_run else "evaluated",
        metric=made.metric,
        value=made.mean,
        low=made.low,
        high=made.high,
        n=made.query,
        chance=made.chance,
        seconds=round(time.monotonic() - started, 3),
    )


def together(models: Models, rows: Sequence[TaskRow], request: Request) -> Evaluations:
    """The rows with their mean and their worst."""
    over = over_tasks(rows)
    return Evaluations(
        model=models.path,
        data=None if request.data is None else Path(request.data).absolute(),
        tasks=tuple(rows),
        evaluated=sum(one.status == "evaluated" for one in rows),
        failed=sum(one.status == "failed" for one in rows),
        metric=over.metric,
        mean=over.mean,
        ci95=over.ci95,
        worst=over.worst,
        query=sum(one.n or 0 for one in rows),
        scores=None if request.dry_run else request.out,
        dry_run=True if request.dry_run else None,
    )
