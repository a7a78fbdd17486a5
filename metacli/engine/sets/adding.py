"""`adapt SETMODEL NEW_TASK --add`: more tasks, or more rows of its tasks, onto a model of a set."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from metacli.data.files import shown
from metacli.data.sets.from_user import (
    SetColumns,
    UserSet,
    UserTask,
    matrix,
    read_set,
    target_of,
)
from metacli.data.tables.columns import TARGETS
from metacli.data.tables.reader import Table, read_table
from metacli.engine.sets.model import AdaptedSet
from metacli.errors import DataError


def known_set(model: AdaptedSet) -> UserSet:
    """The rows that a model was adapted to."""
    support = model.support
    assert support.mask is not None  # of every adapted set
    tasks = tuple(
        UserTask(
            one.name,
            support.x[0, t][support.mask[0, t]].double().numpy(),
            support.y[0, t][support.mask[0, t]].double().numpy(),
        )
        for t, one in enumerate(model.tasks)
    )
    name = str(model.provenance.get("from") or "the model")
    return UserSet(name, tasks, model.inputs, model.layout, model.target, model.task)


def read_added(path: Path, columns: SetColumns) -> UserSet:
    """The tasks to add. A table with a column of labels, and no column that is or names a task, is
    one task that is called like the file. Raises DataError."""
    if path.is_file() and not columns.targets:
        table = read_table(path)
        if is_one_task(table, columns):
            return one_task(path, table, columns.inputs)
    return read_set(path, columns)


def is_one_task(table: Table, columns: SetColumns) -> bool:
    """Whether its rows are all of one task."""
    names = (*columns.known, *([columns.task] if columns.task else []), "task")
    return not any(one in names for one in table.columns) and any(
        one in TARGETS for one in table.columns
    )


def one_task(path: Path, table: Table, inputs: Sequence[str]) -> UserSet:
    target = target_of(table, True)
    assert target is not None  # of a labelled table
    y = table.numbers(target)
    if np.isnan(y).all():
        raise DataError(
            f"{table.name} has no label in {target}",
            code="sets.no_label",
            where=table.name,
            hint="--add needs at least one labelled row of the task",
        )
    task = UserTask(path.stem, matrix(table, inputs), y)
    return UserSet(table.name, (task,), tuple(inputs), "folder", target)


def joined(before: UserSet, more: UserSet) -> UserSet:
    """The tasks of both; rows of a task that both have are put together.

    Raises:
        DataError: rows that the model knows already.
    """
    by_name = {one.name: one for one in before.tasks}
    for one in more.tasks:
        added = one.labelled
        known = by_name.get(one.name)
        if known is not None:
            refuse_known(known, added, more.name)
            added = UserTask(
                one.name,
                np.concatenate([known.x, added.x]),
                np.concatenate([known.y, added.y]),
            )
        by_name[one.name] = added
    return replace(before, tasks=tuple(by_name.values()))


def refuse_known(known: UserTask, added: UserTask, name: str) -> None:
    """The same rows twice would count twice."""
    again = count_known(known, added)
    if again:
        raise DataError(
            f"the model knows {again} of {len(added.y)} rows of task {shown(added.name)} in "
            f"{shown(name)} already",
            code="sets.known_rows",
            where=name,
            hint="leave them out: --add takes new rows and new tasks",
        )


def count_known(known: UserTask, other: UserTask) -> int:
    """Labelled rows that both have, compared as a model holds them: in float32."""
    rows = {row_of(x, y) for x, y in zip(known.x, known.y, strict=True)}
    return sum(row_of(x, y) in rows for x, y in zip(other.x, other.y, strict=True))


def row_of(x: np.ndarray, y: float) -> tuple[bytes, float]:
    return x.astype(np.float32).tobytes(), float(np.float32(y))
