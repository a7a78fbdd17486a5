"""A user's own set of regression tasks: one table with several target columns, one table with a
column of tasks, or a folder with a table for each task.

    shared rows   x,sine,tanh       a column for each task, an empty cell where a label is missing
    long          x,task,y          data.task=task names the task of each row
    folder        SET/sine.csv ...  a table for each task, with the same input columns
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from metacli.data.files import scan, shown
from metacli.data.tables.columns import TARGETS
from metacli.data.tables.reader import Table, read_table
from metacli.data.user.listing import kind_of
from metacli.errors import DataError
from metacli.types import Batch, SetEpisode


@dataclass(frozen=True)
class SetColumns:
    """What the user says of the columns; () and None are found out.

    Args:
        targets: a task each. task: names the task of a row. inputs: what x is made of.
        known: names of the tasks that the model was trained on.
    """

    targets: tuple[str, ...] = ()
    task: str | None = None
    inputs: tuple[str, ...] = ()
    known: tuple[str, ...] = ()


@dataclass(frozen=True)
class UserTask:
    """Rows of one task: x float64 [M, D], y float64 [M], NaN where a label is missing.

    Args:
        places: of the rows in their file, 0-based; () where they are all of it.
    """

    name: str
    x: np.ndarray
    y: np.ndarray
    places: tuple[int, ...] = ()

    @property
    def labelled(self) -> UserTask:
        """The rows with a label."""
        known = ~np.isnan(self.y)
        return UserTask(self.name, self.x[known], self.y[known])


@dataclass(frozen=True)
class UserSet:
    """A set of tasks.

    Args:
        inputs: names of the columns of x. target: of the labels; None where each task has a column.
        task: the column that names a row's task. layout: columns, rows or folder.
    """

    name: str
    tasks: tuple[UserTask, ...]
    inputs: tuple[str, ...]
    layout: str
    target: str | None = None
    task: str | None = None

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(one.name for one in self.tasks)


def read_set(path: Path, columns: SetColumns, *, labelled: bool = True) -> UserSet:
    """The set of tasks at a path.

    Args:
        labelled: False: rows to predict, whose labels may be missing altogether.
    Raises:
        DataError: no tasks, input columns that differ, a task without a label, or a cell that is
            no number.
    """
    if path.is_dir():
        found = of_folder(path, columns, labelled)
    else:
        table = read_table(path)
        task = columns.task or ("task" if "task" in table.columns else None)
        if task is not None and not columns.targets:
            found = of_rows(table, task, columns, labelled)
        else:
            found = of_columns(table, columns, labelled)
    for one in found.tasks if labelled else ():
        if np.isnan(one.y).all():
            raise DataError(
                f"task {shown(one.name)} of {found.name} has no label",
                code="sets.no_label",
                where=found.name,
                hint="leave the task out, or give it one labelled row",
            )
    return found


def of_columns(table: Table, columns: SetColumns, labelled: bool) -> UserSet:
    """Every target column is a task of the same rows."""
    targets = columns.targets or tuple(one for one in table.columns if one in columns.known)
    if not targets and labelled:
        known = ", ".join(columns.known) or "none by name"
        raise DataError(
            f"{table.name}: no column is a task of this model, which knows {known}; the columns "
            f"are {', '.join(map(shown, table.columns))}",
            code="sets.no_tasks",
            where=table.name,
            hint="data.target=A,B names a column for each task, data.task=COLUMN the task of a row",
        )
    for one in targets:
        if labelled:
            table.require(one)
    present = [one for one in targets if one in table.columns]
    inputs = columns.inputs or tuple(one for one in table.columns if one not in targets)
    x = matrix(table, inputs)
    blank = np.full(len(table), np.nan)
    tasks = tuple(
        UserTask(one, x, table.numbers(one) if one in present else blank) for one in targets
    )
    return UserSet(table.name, tasks, inputs, "columns")


def of_rows(table: Table, task: str, columns: SetColumns, labelled: bool) -> UserSet:
    """A column names the task of each row."""
    named = table.words(task)
    for number, name in enumerate(named):
        if name is None:
            raise table.cell_error("is empty", number, task, "sets.no_task_name")
    target = target_of(table, labelled)
    others = (task, target)
    inputs = columns.inputs or tuple(one for one in table.columns if one not in others)
    x = matrix(table, inputs)
    y = np.full(len(table), np.nan) if target is None else table.numbers(target)
    order = dict.fromkeys(str(name) for name in named)
    rows = {name: [n for n, one in enumerate(named) if one == name] for name in order}
    tasks = tuple(UserTask(name, x[at], y[at], tuple(at)) for name, at in rows.items())
    return UserSet(table.name, tasks, inputs, "rows", target, task)


def of_folder(path: Path, columns: SetColumns, labelled: bool) -> UserSet:
    """A table for each task."""
    files = [name for name in scan(path).files if kind_of(name) == "table"]
    if not files:
        raise DataError(
            f"{shown(path)} holds no table; wanted one for each task",
            code="sets.no_tasks",
            where=shown(path),
            hint="SET/<task>.csv, with the same input columns in each",
        )
    tasks, inputs, target = [], columns.inputs, None
    for name in files:
        table = read_table(path / name)
        target = target_of(table, labelled)
        own = tuple(one for one in table.columns if one != target)
        inputs = inputs or own
        if not set(inputs) <= set(own):
            raise DataError(
                f"{table.name} has the input columns {', '.join(map(shown, own))}, "
                f"{shown(files[0])} has {', '.join(map(shown, inputs))}",
                code="sets.columns_differ",
                where=table.name,
                hint="the tasks of a set have the same inputs; --input A,B chooses some",
            )
        y = np.full(len(table), np.nan) if target is None else table.numbers(target)
        tasks.append(UserTask(Path(name).stem, matrix(table, inputs), y))
    return UserSet(shown(path.name), tuple(tasks), inputs, "folder", target)


def target_of(table: Table, needed: bool) -> str | None:
    """The column of labels. Raises DataError where there is none, and one is needed."""
    found = [one for one in table.columns if one in TARGETS]
    if len(found) == 1:
        return found[0]
    if not found and not needed:
        return None
    raise DataError(
        f"{table.name}: {'several columns are' if found else 'no column is'} the target; the "
        f"columns are {', '.join(map(shown, table.columns))}",
        code="table.no_target",
        where=table.name,
        hint="call it label, target, class or y",
    )


def matrix(table: Table, inputs: Sequence[str]) -> np.ndarray:
    """x [M, D]. Raises DataError for a cell that is missing or no number."""
    if not inputs:
        raise DataError(
            f"{table.name} has no input column", code="table.no_input", where=table.name
        )
    x = np.stack([input_column(table, one) for one in inputs], 1)
    rows, columns = np.nonzero(np.isnan(x))
    if len(rows):
        raise table.cell_error(
            "is empty; inputs have no missing values here",
            int(rows[0]),
            inputs[int(columns[0])],
            "sets.missing_input",
        )
    return x


def input_column(table: Table, name: str) -> np.ndarray:
    """Numbers [M]. Raises DataError for a cell that is none: the column may be no input at all."""
    try:
        return table.numbers(name)
    except DataError as error:
        raise DataError(
            f"{error.message}; {shown(name)} was taken for an input",
            code=error.code,
            where=error.where,
            hint="--input A,B names the input columns, --target A,B the tasks; or put the cell "
            "right",
        ) from None


def support_of(tasks: Sequence[UserTask], dtype: torch.dtype = torch.float32) -> Batch:
    """The labelled rows of T tasks as x [1, T, M, D], y and mask [1, T, M]; M is that of the
    largest task, the rest is masked."""
    known = [one.labelled for one in tasks]
    most = max(1, *(len(one.y) for one in known))
    x = np.zeros((1, len(known), most, tasks[0].x.shape[1]))
    y, mask = np.zeros(x.shape[:3]), np.zeros(x.shape[:3], bool)
    for t, one in enumerate(known):
        x[0, t, : len(one.y)], y[0, t, : len(one.y)] = one.x, one.y
        mask[0, t, : len(one.y)] = True
    return Batch(torch.as_tensor(x, dtype=dtype), torch.as_tensor(y, dtype=dtype), as_mask(mask))


def as_mask(mask: np.ndarray) -> Tensor:
    return torch.from_numpy(mask)


def roles_of(names: Sequence[str], known: Sequence[str]) -> Tensor:
    """int64 [1, T]: the number of each task in the model's table of named tasks; -1 where tasks
    have no names.

    Raises:
        DataError: the model knows its tasks by name, and these are others.
    """
    if not known:
        return torch.full((1, len(names)), -1)
    unknown = [one for one in names if one not in known]
    if unknown:
        raise DataError(
            f"the model knows tasks by name, {', '.join(known)}; found {', '.join(unknown)}",
            code="sets.unknown_task",
            hint="name the tasks so, or meta-train a model on sets of your own",
        )
    return torch.tensor([[list(known).index(one) for one in names]])


def asking(support: Batch, roles: Tensor, x: Tensor) -> SetEpisode:
    """A set whose queries are the rows x [1, T, Q, D]."""
    return SetEpisode(support, Batch(x, x.new_zeros(x.shape[:3])), roles)
