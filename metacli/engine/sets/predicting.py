"""`predict` of a model adapted to a set: rows of tables and arrays, for the task that a column, a
file or a folder names, or for every task."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from metacli.data.files import shown
from metacli.data.sets.from_user import SetColumns, UserSet, UserTask, read_set
from metacli.data.tables.reader import read_table
from metacli.engine.events import Reporter, ignore
from metacli.engine.predicting.inputs import Held, Item
from metacli.engine.results.predict import RowError, TaskPrediction, TaskPredictions
from metacli.engine.sets.adapting import predicted
from metacli.engine.sets.model import AdaptedSet
from metacli.engine.sets.scoring import Z90
from metacli.errors import DataError, UsageProblem
from metacli.nn.set_attention import Gaussian

UNKNOWN = "sets.unknown_task"


@dataclass(frozen=True)
class SetPredictor:
    """An adapted set, to predict as often as wanted."""

    model: AdaptedSet

    def predict(
        self,
        items: Sequence[Item],
        reject: str | float | None = None,
        stdin: bytes | None = None,
        report: Reporter = ignore,
    ) -> TaskPredictions:
        """Every row answered for its task, or for each task where nothing names one; `low` to
        `high` is the central 90 % interval. An array is [M, columns] in the order of the model's.

        Raises:
            DataError: a table cannot be read, or has other columns.
            UsageProblem: an image, or `reject`: numbers are not rejected.
        """
        if reject is not None:
            raise UsageProblem("--reject is for classes; a model of sets predicts numbers")
        rows: list[TaskPrediction] = []
        for item in items:
            if isinstance(item, Held):
                user, where = held_rows(self.model, item), item.name
            else:
                user, where = rows_to_predict(self.model, item), str(item)
            rows += rows_of(where, user, predicted(self.model, user), self.model.names)
        return TaskPredictions(rows=tuple(rows), tasks=self.model.names, coverage=0.9)


def held_rows(model: AdaptedSet, item: Held) -> UserSet:
    """The rows of an array, for every task. Raises UsageProblem and DataError for what is none."""
    if not isinstance(item.value, np.ndarray):
        raise UsageProblem("a model of sets predicts rows of numbers", hint="give a path or array")
    x = np.atleast_2d(np.asarray(item.value, float))
    if x.ndim != 2 or x.shape[1] != len(model.inputs) or not np.isfinite(x).all():
        raise DataError(
            f"an array of shape {list(item.value.shape)}; wanted [rows, {len(model.inputs)}] of "
            f"finite numbers: {', '.join(map(shown, model.inputs))}",
            code="table.array",
        )
    blank = np.full(len(x), np.nan)
    tasks = tuple(UserTask(name, x, blank) for name in model.names)
    return UserSet(item.name or "array", tasks, model.inputs, "array")


def rows_to_predict(model: AdaptedSet, path: Path) -> UserSet:
    """The rows at a path. Raises as `read_set`."""
    return read_set(path, columns_for(model, path), labelled=False)


def columns_for(model: AdaptedSet, path: Path) -> SetColumns:
    """What the columns of a table are: the task of a row stands in a column, or it is what the file
    is called like; otherwise each row is of every task."""
    columns = SetColumns((), model.task, model.inputs, model.names)
    if path.is_dir():
        return columns
    named = model.task or "task"
    if model.layout != "columns" and named in read_table(path).columns:
        return replace(columns, task=named)
    if model.layout == "folder" and path.stem in model.names:
        return replace(columns, targets=(path.stem,))
    return replace(columns, targets=model.names)


def rows_of(
    where: str, user: UserSet, answers: Mapping[str, Gaussian], known: Sequence[str]
) -> list[TaskPrediction]:
    """The predictions in the order of the rows, which are numbered as in a table whose header is
    row 1; the rows of an array from 0."""
    found = []
    for task in user.tasks:
        file = str(Path(where) / f"{task.name}.csv") if user.layout == "folder" else where
        for at, place in enumerate(task.places or range(len(task.x))):
            name = f"{where}[{place}]" if user.layout == "array" else f"{file}:{place + 2}"
            if task.name in answers:
                found.append((place, answered(name, task.name, at, answers[task.name])))
            else:
                found.append((place, unknown(name, task.name, known)))
    if user.layout != "folder":
        found.sort(key=lambda pair: pair[0])
    return [row for _, row in found]


def answered(name: str, task: str, at: int, found: Gaussian) -> TaskPrediction:
    """Row `at` of a task."""
    mean, variance = float(found.mean[at]), float(found.variance[at])
    half = Z90 * variance**0.5
    return TaskPrediction(name, mean, None, mean - half, mean + half, task=task)


def unknown(name: str, task: str, known: Sequence[str]) -> TaskPrediction:
    """A row of a task that the model does not have."""
    message = f"no task {shown(task)} in this model, which has {', '.join(map(shown, known))}"
    return TaskPrediction(name, error=RowError(UNKNOWN, message), task=task)
