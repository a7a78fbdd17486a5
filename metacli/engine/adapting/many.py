"""A folder of tasks through `adapt`: one model for each, in one process.

The sources are opened once. A task that fails is named and the rest go on; a call that was stopped
is continued with `new_only`, which keeps the models that are there.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from metacli.engine.adapting.one_task import Output, adapt_to_task
from metacli.engine.adapting.request import Request
from metacli.engine.adapting.source import Source
from metacli.engine.events import Event, Notice, Progress, Reporter
from metacli.engine.results.adapt import Adaptation
from metacli.engine.results.adapt_many import Adaptations, TaskRow
from metacli.engine.scoring.checks import LOWER_IS_BETTER
from metacli.engine.scoring.intervals import over_seeds
from metacli.engine.storage.paths import MODEL_FILE
from metacli.errors import DataError, Finding, MetacliError, RunFailed
from metacli.threads import computing_with

FOLDS = 3  # a set of tasks is scored by its mean; each task by few folds


def adapt_to_each(
    sources: Sequence[Source],
    tasks: Sequence[Path],
    request: Request,
    output: Output,
    *,
    new_only: bool = False,
) -> Adaptations:
    """The models are in `output.folder/<task>`.

    Args:
        request: for every task; `request.task` is the folder of them.
        new_only: leave a task alone where its folder has a model.

    Raises:
        DataError: some tasks failed; the error's `result` has every row, and the other models are
            written.
    """
    rows = []
    with computing_with(threads_for(sources)):
        for number, task in enumerate(tasks):
            request.report(Progress("adapting", number, len(tasks), "tasks"))
            own = replace(output, folder=output.folder / name_of(task))
            if new_only and (own.folder / MODEL_FILE).is_file():
                rows.append(TaskRow(name_of(task), task.absolute(), own.folder, "kept"))
            else:
                rows.append(adapt_to_one(sources, task, request, own))
    request.report(Progress("adapting", len(tasks), len(tasks), "tasks"))
    result = together(sources, rows, request, output)
    if result.failed:
        raise some_failed(result, request)
    return result


def threads_for(sources: Sequence[Source]) -> int:
    """Rows of numbers are too small for several threads, which would wait for each other: 25 rows
    took ten times the processor's time on two."""
    small = all(one.inputs.kind != "image" for one in sources)
    return 1 if small else torch.get_num_threads()


def name_of(task: Path) -> str:
    """A task is called after its folder, or its table without the ending."""
    return task.name if task.is_dir() else task.stem


def adapt_to_one(
    sources: Sequence[Source], task: Path, request: Request, output: Output
) -> TaskRow:
    """One row; what is wrong with a task is in its row. A full disk is the end of all of them."""
    name, started = name_of(task), time.monotonic()
    own = replace(request, task=task, report=within(name, request.report))
    try:
        made = adapt_to_task(sources, own, output)
    except RunFailed:
        raise
    except MetacliError as error:
        facts = {"code": error.code, "message": error.message, "where": error.where}
        return TaskRow(name, task.absolute(), None, "failed", error=facts)
    return row_of(name, made, round(time.monotonic() - started, 3))


def row_of(name: str, made: Adaptation, seconds: float) -> TaskRow:
    score, best = made.score, made.transfer.best
    return TaskRow(
        name=name,
        path=made.task.path,
        model=made.model,
        status="adapted",
        metric=score.metric,
        value=score.value,
        low=score.low,
        high=score.high,
        n=None if score.value is None else score.n,
        chance=score.chance,
        verdict=None if best is None else best.found.verdict,
        seconds=seconds,
    )


def within(name: str, report: Reporter) -> Reporter:
    """Remarks with the task that they are about; progress inside a task is not shown."""

    def told(event: Event) -> None:
        if isinstance(event, Notice):
            report(Notice(f"{name}: {event.message}", event.code))

    return told


def together(
    sources: Sequence[Source], rows: Sequence[TaskRow], request: Request, output: Output
) -> Adaptations:
    """The rows with their mean and their worst."""
    scored = [one for one in rows if one.value is not None]
    metric = scored[0].metric if scored else None
    values = np.array([one.value for one in scored], float)
    mean = over_seeds(values) if len(values) > 1 else None
    worst = None
    if scored:
        at = int(values.argmax() if metric in LOWER_IS_BETTER else values.argmin())
        worst = scored[at].name
    return Adaptations(
        model=None if output.dry_run else output.folder,
        source=tuple(str(one.opened.path) for one in sources),
        method=sources[0].method,
        tasks=tuple(rows),
        adapted=sum(one.status == "adapted" for one in rows),
        kept=sum(one.status == "kept" for one in rows),
        failed=sum(one.status == "failed" for one in rows),
        metric=metric,
        mean=None if mean is None else mean.mean,
        ci95=None if mean is None else mean.ci95,
        worst=worst,
        device=str(request.device),
        dry_run=True if output.dry_run else None,
    )


def some_failed(result: Adaptations, request: Request) -> DataError:
    """Every task that failed, with why, and the command that goes on with the rest."""
    findings = [
        Finding("error", str(one.error["code"]), f"{one.name}: {one.error['message']}")
        for one in result.tasks
        if one.error is not None
    ]
    return DataError(
        f"{result.failed} of {len(result.tasks)} tasks could not be adapted",
        code="adapt.some_failed",
        where=str(request.task),
        hint="mend them, then the same command with --new-only",
        findings=findings,
        result=result,
    )


def values_to_check(result: Adaptations) -> dict[str, float | None]:
    """What `--fail-under` and `--fail-over` look at: the worst task, and as `<metric>_low` and
    `<metric>_high` the interval of any task that is furthest out."""
    scored = [one for one in result.tasks if one.value is not None]
    if result.metric is None:
        return {}
    lower = result.metric in LOWER_IS_BETTER
    values = [one.value for one in scored if one.value is not None]
    ends = {
        "low": [one.low for one in scored if one.low is not None],
        "high": [one.high for one in scored if one.high is not None],
    }
    found: dict[str, float | None] = {result.metric: max(values) if lower else min(values)}
    found |= {f"{result.metric}_low": min(ends["low"])} if ends["low"] else {}
    found |= {f"{result.metric}_high": max(ends["high"])} if ends["high"] else {}
    return found
