"""What the verbs on a folder of tasks share: names, remarks, the mean and the worst over tasks."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

import numpy as np
import torch

from metacli.engine.events import Event, Note, Notice, Reporter
from metacli.engine.results.base import Json, Result
from metacli.engine.scoring.checks import LOWER_IS_BETTER
from metacli.engine.scoring.intervals import over_seeds
from metacli.errors import DataError, Finding, MetacliError

Facts = Mapping[str, Json]


class Named(Protocol):
    """A row of a result, with what failed."""

    @property
    def name(self) -> str: ...
    @property
    def error(self) -> Facts | None: ...


class Scored(Protocol):
    """A row with a score and its interval; None where nothing was measured."""

    @property
    def name(self) -> str: ...
    @property
    def metric(self) -> str | None: ...
    @property
    def value(self) -> float | None: ...
    @property
    def low(self) -> float | None: ...
    @property
    def high(self) -> float | None: ...


@dataclass(frozen=True)
class OverTasks:
    """
    Args:
        mean, ci95: over the tasks, Student's t, which one task has not; None where tasks are
            measured by different metrics, which have no mean.
        worst: the task with the lowest score (of errors the highest).
    """

    metric: str | None = None
    mean: float | None = None
    ci95: float | None = None
    worst: str | None = None


def over_tasks(rows: Sequence[Scored]) -> OverTasks:
    """The mean over the rows that have a score, and the worst of them."""
    scored = [one for one in rows if one.value is not None]
    metrics = list(dict.fromkeys(one.metric for one in scored))
    if not scored:
        return OverTasks()
    if len(metrics) > 1:
        return OverTasks(metrics[0])
    values = np.array([one.value for one in scored], float)
    at = int(values.argmax() if metrics[0] in LOWER_IS_BETTER else values.argmin())
    interval = over_seeds(values) if len(values) > 1 else None
    return OverTasks(
        metric=metrics[0],
        mean=float(values.mean()),
        ci95=None if interval is None else interval.ci95,
        worst=scored[at].name,
    )


def values_to_check(rows: Sequence[Scored]) -> dict[str, float | None]:
    """What `--fail-under` and `--fail-over` look at, for each metric: the worst task, and as
    `<metric>_low` and `<metric>_high` the interval of any task that is furthest out."""
    found: dict[str, float | None] = {}
    scored = [one for one in rows if one.value is not None]
    for metric in dict.fromkeys(one.metric for one in scored):
        if metric is None:
            continue
        own = [one for one in scored if one.metric == metric]
        values = [one.value for one in own if one.value is not None]
        lows = [one.low for one in own if one.low is not None]
        highs = [one.high for one in own if one.high is not None]
        found[metric] = max(values) if metric in LOWER_IS_BETTER else min(values)
        found |= {f"{metric}_low": min(lows)} if lows else {}
        found |= {f"{metric}_high": max(highs)} if highs else {}
    return found


def checked_names(metric: str) -> tuple[str, str, str]:
    """The names that `values_to_check` gives to a metric."""
    return (metric, f"{metric}_low", f"{metric}_high")


def name_of(task: Path) -> str:
    """A task is called after its folder, or its table without the ending."""
    return task.name if task.is_dir() else task.stem


def within(name: str, report: Reporter) -> Reporter:
    """Remarks with the task that they are about; progress inside a task is not shown."""

    def passed_on(event: Event) -> None:
        if isinstance(event, Notice | Note):
            report(replace(event, message=f"{name}: {event.message}"))

    return passed_on


def threads_for(kinds: Iterable[str]) -> int:
    """Rows of numbers are too small for several threads, which would wait for each other: 25 rows
    took ten times the processor's time on two.

    Args:
        kinds: of what the models take: `image`, `numbers`, `text`.
    """
    small = all(one != "image" for one in kinds)
    return 1 if small else torch.get_num_threads()


def facts_of(error: MetacliError) -> Facts:
    """What is wrong with a task, for its row."""
    where, hint = error.where, error.hint
    return {"code": error.code, "message": error.message, "where": where, "hint": hint}


def hint_in(error: Facts) -> str | None:
    """What to do about it, where it says so."""
    hint = error.get("hint")
    return hint if isinstance(hint, str) else None


def some_failed(
    rows: Sequence[Named], result: Result, could_not: str, *, code: str, where: str, hint: str
) -> DataError:
    """Every task that failed, with why.

    Args:
        could_not: `be adapted`.
    """
    failed = [(one.name, one.error) for one in rows if one.error is not None]
    findings = [
        Finding("error", str(error["code"]), f"{name}: {error['message']}", hint=hint_in(error))
        for name, error in failed
    ]
    return DataError(
        f"{len(failed)} of {len(rows)} tasks could not {could_not}",
        code=code,
        where=where,
        hint=hint,
        findings=findings,
        result=result,
    )
