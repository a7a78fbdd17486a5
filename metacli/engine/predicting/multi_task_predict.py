"""`predict` of a multi-task model: a row's own task where a column or a folder names it, every task
otherwise."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from metacli.data.files import shown
from metacli.data.images import read_image
from metacli.data.tables.encoding import Encoding
from metacli.data.tables.reader import Table, read_table
from metacli.data.tables.text import HashedText
from metacli.data.user.listing import is_table
from metacli.data.user.open import list_inputs
from metacli.engine.events import Progress, Reporter
from metacli.engine.models.model import MultiTaskModel
from metacli.engine.scoring.multi_task_params import answer
from metacli.errors import DataError

ROWS = 256  # at a time
NONE_OF_THESE = "none of these"


def predict_tasks(
    model: MultiTaskModel, paths: Sequence[Path], limit: float | None, report: Reporter
) -> dict[str, Any]:
    """One row for each row of a table (or picture) and task.

    Args:
        limit: a probability below which the answer is "none of these".
    Raises:
        DataError: nothing to predict; a table that cannot be read; or some pictures that cannot:
            `result` then holds every row, the good ones answered.
    """
    rows: list[dict[str, Any]] = []
    read = of_pictures if model.inputs.kind == "image" else of_tables
    for names, tasks, x in read(model, paths):
        rows += said(model, names, tasks, x, limit)
        report(Progress("predicting", len(rows), None, "rows"))
    if not rows:
        raise DataError("nothing to predict", code="data.empty", where=", ".join(map(str, paths)))
    result = {"rows": rows, "tasks": list(model.heads.tasks), "reject": limit}
    bad = [row for row in rows if row["error"] is not None]
    if bad:
        raise DataError(
            f"{len(bad)} of {len(rows)} rows could not be answered, the first: "
            f"{bad[0]['error']['message']}",
            code="predict.unreadable",
            where=bad[0]["input"],
            result=result,
        )
    return result


Part = tuple[list[str], list[str | DataError | None], np.ndarray]
"""Names of inputs; the task of each (None: all tasks; an error in place of a bad one); x [M, D]."""


def of_tables(model: MultiTaskModel, paths: Sequence[Path]) -> Iterator[Part]:
    """Rows of tables, as they were encoded in training."""
    encode = encoder_of(model)
    for path in list_inputs(paths):
        if not is_table(path):
            raise DataError(
                f"{shown(path.name)} is no table, and this model takes the rows of one",
                code="predict.kind",
                where=shown(path),
                hint="a .csv, .tsv, .jsonl or .parquet with the columns of the training data",
            )
        table = read_table(path)
        x = encode(table)
        tasks = tasks_of(model, table, model.heads.task_column)
        for start in range(0, len(table), ROWS):
            part = slice(start, start + ROWS)
            numbers = range(start, min(start + ROWS, len(table)))
            yield [table.row(number) for number in numbers], tasks[part], x[part]


def encoder_of(model: MultiTaskModel) -> Callable[[Table], np.ndarray]:
    """What makes x [M, D] of a table: of its column of texts, or of its cells."""
    if model.inputs.kind != "text":
        return Encoding.from_dict(model.heads.cells).encode
    hashed, column = HashedText.from_dict(model.heads.read), model.heads.text_column
    return lambda table: hashed.encode(table.texts(column)).toarray()


def tasks_of(
    model: MultiTaskModel, table: Table, column: str | None
) -> list[str | DataError | None]:
    """The task of each row."""
    if column is None or column not in table.columns:
        return [None] * len(table)
    known = set(model.heads.tasks)
    found: list[str | DataError | None] = []
    for number, cell in enumerate(table.words(column)):
        error = DataError(
            f"{cell!r} in column {shown(column)} is no task of this model",
            code="predict.unknown_task",
            where=table.row(number),
        )
        found.append(cell if cell in known else error)
    return found


def of_pictures(model: MultiTaskModel, paths: Sequence[Path]) -> Iterator[Part]:
    """Pictures; the folder that one lies in, or one above it, may name its task."""
    known = set(model.heads.tasks)
    for path in list_inputs(paths):
        above = [one.name for one in path.parents if one.name in known]
        blank = np.zeros((1, int(np.prod(model.inputs.shape))), np.float32)
        try:
            pixels = read_image(path, model.inputs.image()).reshape(1, -1).astype(np.float32)
        except DataError as error:
            yield [str(path)], [error], blank
        else:
            yield [str(path)], [above[0] if above else None], pixels


def said(
    model: MultiTaskModel,
    names: Sequence[str],
    tasks: Sequence[str | DataError | None],
    x: np.ndarray,
    limit: float | None,
) -> list[dict[str, Any]]:
    """The rows of the answer for some inputs."""
    every: list[str] = list(model.heads.tasks)
    found = outputs(model, x)
    rows = []
    for number, (name, task) in enumerate(zip(names, tasks, strict=True)):
        if isinstance(task, DataError):
            blank = row_of(model, name, None, None, limit)
            rows.append({**blank, "error": {"code": task.code, "message": task.message}})
            continue
        for one in every if task is None else [task]:
            at = every.index(one)
            rows.append(row_of(model, name, at, found[at][number], limit))
    return rows


@torch.no_grad()
def outputs(model: MultiTaskModel, x: np.ndarray) -> list[np.ndarray]:
    """What the network says of rows [M, D], for each task: [M] or [M, C]."""
    problem = model.problem()
    mean = model.params["input.mean"]
    rows = torch.from_numpy(x).to(mean.device, mean.dtype)
    found = problem.predict(model.params, rows).cpu().double().numpy()
    return [answer(problem, task, one) for task, one in enumerate(found)]


def row_of(
    model: MultiTaskModel, name: str, task: int | None, value: Any, limit: float | None
) -> dict[str, Any]:
    """One row: a value with the interval that held 95 % of the validation rows, or a label."""
    blank = {
        "input": name,
        "task": None if task is None else model.heads.tasks[task],
        "prediction": None,
        "probabilities": None,
        "low": None,
        "high": None,
        "error": None,
    }
    if task is None:
        return blank
    if model.heads.regresses(task):
        spread = (model.heads.spread or {}).get(str(task))
        at = float(value)
        ends = {} if spread is None else {"low": at - spread, "high": at + spread}
        return {**blank, "prediction": at, **ends}
    labels = model.heads.labels[task]
    chances = np.array([1 - value, value]) if np.ndim(value) == 0 else value
    best = int(chances.argmax())
    rejected = limit is not None and chances[best] < limit
    return {
        **blank,
        "prediction": NONE_OF_THESE if rejected else labels[best],
        "probabilities": dict(zip(labels, map(float, chances), strict=True)),
    }
