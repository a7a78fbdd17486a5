"""A folder of tasks through `adapt`: one model for each, in one process.

The sources are opened once. A task that fails is named and the rest go on; a call that was stopped
is continued with `new_only`, which keeps the models that are there.
"""

from __future__ import annotations

import shlex
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Self

from metacli.data.files import shown
from metacli.engine.adapting.one_task import Output, Save, adapt_to_task
from metacli.engine.adapting.request import Request
from metacli.engine.adapting.source import Source
from metacli.engine.events import Notice, Progress, Reporter
from metacli.engine.many.adapted import together
from metacli.engine.many.over import (
    facts_of,
    name_of,
    some_failed,
    threads_for,
    within,
)
from metacli.engine.models.model import AdaptedModel
from metacli.engine.results.adapt import Adaptation
from metacli.engine.results.adapt_many import Adaptations, TaskRow
from metacli.engine.shards.adapting import keep_part
from metacli.engine.shards.shard import Shard
from metacli.engine.storage.paths import MODEL_FILE
from metacli.errors import MetacliError, RunFailed
from metacli.threads import computing_with

AT_A_TIME = 8  # models that are written at once
FOLDS = 3  # a set of tasks is scored by its mean; each task by few folds


def adapt_to_each(
    sources: Sequence[Source],
    tasks: Sequence[Path],
    request: Request,
    output: Output,
    *,
    new_only: bool = False,
    shard: Shard | None = None,
) -> Adaptations:
    """The models are in `output.folder/<task>`.

    Args:
        request: for every task; `request.task` is the folder of them.
        new_only: leave a task alone where its folder has a model.
        shard: the part of the tasks that is adapted to, and kept for `merge`.

    Raises:
        DataError: some tasks failed; the error's `result` has every row, and the other models are
            written.
    """
    begin, end = (0, len(tasks)) if shard is None else shard.of(len(tasks))
    threads = threads_for(one.inputs.kind for one in sources)
    own_tasks = [] if output.dry_run else tasks[begin:end]
    with (
        said_if_stopped(output.folder, own_tasks, request.report),
        computing_with(threads),
        Writers() as writers,
    ):
        rows = []
        for number, task in enumerate(tasks[begin:end]):
            request.report(Progress("adapting", number, end - begin, "tasks"))
            own = replace(output, folder=output.folder / name_of(task))
            if new_only and (own.folder / MODEL_FILE).is_file():
                rows.append(TaskRow(name_of(task), task.absolute(), own.folder, "kept"))
            else:
                rows.append(adapt_to_one(sources, task, request, own, writers.keep))
        rows = [with_written(row, writers) for row in rows]
    request.report(Progress("adapting", end - begin, end - begin, "tasks"))
    result = together(
        rows,
        folder=None if output.dry_run else output.folder,
        source=[str(one.opened.path) for one in sources],
        method=sources[0].method,
        device=str(request.device),
    )
    if shard is not None and not output.dry_run:
        keep_part(shard, output.folder, sources, tasks, request, result)
    if result.failed:
        raise some_failed(
            *(result.tasks, result, "be adapted"),
            code="adapt.some_failed",
            where=str(request.task),
            hint=f"mend them, then {going_on(output.folder)}",
        )
    return result


@contextmanager
def said_if_stopped(folder: Path, tasks: Sequence[Path], report: Reporter) -> Iterator[None]:
    """Models that are finished stay when a signal comes: how many there are, and how to go on."""
    try:
        yield
    except KeyboardInterrupt:
        made = sum((folder / name_of(task) / MODEL_FILE).is_file() for task in tasks)
        if made:
            said = f"{made} of {len(tasks)} models are made; {going_on(folder)} makes the others"
            report(Notice(said, "adapt.stopped"))
        raise


def going_on(folder: Path) -> str:
    """With the folder, since without `-o` each call has a new one."""
    return f"the same command with -o {shlex.quote(shown(folder))} --new-only"


@dataclass(frozen=True)
class Writers:
    """Models are written while the next tasks are adapted to: to wait until one is on the disk may
    take longer than to fit it. Leaving the block waits for those that were begun.

    Args:
        begun: the writing of each folder. waiting: what may not be done yet.
    """

    pool: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(AT_A_TIME))
    begun: dict[Path, Future[None]] = field(default_factory=dict)
    waiting: list[Future[None]] = field(default_factory=list)

    def keep(self, output: Output, model: AdaptedModel) -> None:
        """Begin to write a model. Raises RunFailed where an earlier one found the disk full."""
        if output.folder in self.begun:  # two tasks of one name: refused as it always is
            wait([self.begun[output.folder]])
            return output.save(model)
        if len(self.waiting) >= AT_A_TIME:
            wait(self.waiting, return_when=FIRST_COMPLETED)
        for one in [one for one in self.waiting if one.done()]:
            self.waiting.remove(one)
            if isinstance(error := one.exception(), RunFailed):
                raise error
        self.begun[output.folder] = self.pool.submit(output.save, model)
        self.waiting.append(self.begun[output.folder])
        return None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.pool.shutdown()


def with_written(row: TaskRow, writers: Writers) -> TaskRow:
    """The row once its model is on the disk, or with why it is not."""
    writing = None if row.model is None else writers.begun.get(row.model)
    if writing is None:
        return row
    try:
        writing.result()
    except RunFailed:
        raise
    except MetacliError as error:
        return failed(row.name, row.path, error)
    return row


def failed(name: str, task: Path, error: MetacliError) -> TaskRow:
    return TaskRow(name, task.absolute(), None, "failed", error=facts_of(error))


def adapt_to_one(
    sources: Sequence[Source], task: Path, request: Request, output: Output, keep: Save
) -> TaskRow:
    """One row; what is wrong with a task is in its row. A full disk is the end of all of them."""
    name, started = name_of(task), time.monotonic()
    own = replace(request, task=task, report=within(name, request.report))
    try:
        made = adapt_to_task(sources, own, output, keep=keep)
    except RunFailed:
        raise
    except MetacliError as error:
        return failed(name, task, error)
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
        delta=None if best is None else best.found.delta,
        seconds=seconds,
        doubts=made.doubts,
    )
