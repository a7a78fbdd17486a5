"""`predict` of a multi-task model: a row's own task where a column or a folder names it, every task
otherwise."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from metacli.data.files import shown
from metacli.data.tables.coded import Encoder, dense, encoded, encoder_of
from metacli.data.tables.encoding import Encoding
from metacli.data.tables.reader import Table
from metacli.data.user.listing import is_table
from metacli.data.user.open import list_inputs
from metacli.engine.events import Progress, Reporter
from metacli.engine.models.model import MultiTaskModel
from metacli.engine.predicting.finite import not_finite
from metacli.engine.predicting.inputs import STDIN, Held, Item, Wanted, images_of, tables_of
from metacli.engine.predicting.limits import NONE_OF_THESE, probability_limit
from metacli.engine.predicting.outside import Outside, Seen, outside
from metacli.engine.results.predict import RowError, TaskPrediction, TaskPredictions
from metacli.engine.scoring.multi_task_params import answer
from metacli.errors import DataError

ROWS = 256  # at a time
COVERAGE = 0.95  # of the intervals around numbers


@dataclass(frozen=True)
class TaskPredictor:
    """Predictions of a multi-task model."""

    model: MultiTaskModel

    def predict(
        self,
        items: Sequence[Item],
        reject: str | float | None,
        stdin: bytes | None,
        report: Reporter,
    ) -> TaskPredictions:
        """A row for each row of a table (or image) and task.

        Raises:
            DataError: a table that cannot be read.
            UsageProblem: `reject` is no probability.
        """
        limit = probability_limit(reject)
        rows: list[TaskPrediction] = []
        read = asked_images if self.model.inputs.kind == "image" else asked_rows
        encoder, seen = row_encoder_or_none(self.model), Seen()
        for part in read(self.model, items, stdin):
            far = outside(part.x, None, encoder)
            seen.add(part.names, far, encoder)
            rows += answered(self.model, part, limit, far)
            report(Progress("predicting", len(rows), None, "rows"))
        seen.report(report, intervals=self.model.heads.spread is not None)
        known = None if self.model.heads.spread is None else COVERAGE
        return TaskPredictions(tuple(rows), limit, tasks=self.model.heads.tasks, coverage=known)


@dataclass(frozen=True)
class Asked:
    """Some inputs.

    Args:
        tasks: of each input; None: all tasks. An error in the place of what cannot be answered.
        x: [M, D]; zeros where there is an error.
    """

    names: Sequence[str]
    tasks: Sequence[str | DataError | None]
    x: np.ndarray


def asked_rows(
    model: MultiTaskModel, items: Sequence[Item], stdin: bytes | None
) -> Iterator[Asked]:
    """Rows of tables, as they were encoded in training."""
    encoder = row_encoder(model)
    if isinstance(encoder, Encoding):
        wanted = Wanted(encoder.names)
    else:
        wanted = Wanted((model.heads.text_column,), texts=True)
    require_tables(items)
    for _, table in tables_of(items, wanted, stdin):
        if isinstance(table, DataError):
            raise table
        tasks = tasks_of(model, table)
        for start in range(0, len(table), ROWS):
            numbers = np.arange(start, min(start + ROWS, len(table)))
            found = [tasks[number] for number in numbers]
            yield from some(model, table, numbers, found)


def require_tables(items: Sequence[Item]) -> None:
    """Raises DataError for a file that is no table."""
    paths = [one for one in items if not isinstance(one, Held) and str(one) != STDIN]
    for path in list_inputs(paths):
        if not is_table(path):
            raise DataError(
                f"{shown(path.name)} is no table, and this model takes the rows of one",
                code="predict.kind",
                where=shown(path),
                hint="a .csv, .tsv, .jsonl or .parquet with the columns of the training data",
            )


def some(
    model: MultiTaskModel,
    table: Table,
    numbers: np.ndarray,
    tasks: Sequence[str | DataError | None],
) -> Iterator[Asked]:
    """Some rows; where one cannot be read, each is tried by itself.

    Raises:
        DataError: columns are missing.
    """
    names = [table.row(int(number)) for number in numbers]
    part = table.rows(numbers)
    try:
        yield Asked(names, tasks, rows_of(model, part))
    except DataError as error:
        if error.code in ("table.columns", "table.no_column"):
            raise
        if len(numbers) == 1:
            blank = np.zeros((1, row_encoder(model).width), np.float32)
            yield Asked(names, [error], blank)
            return
        for place, number in enumerate(numbers):
            yield from some(model, table, number[None], tasks[place : place + 1])


def row_encoder(model: MultiTaskModel) -> Encoder:
    """What makes numbers of a table: of its column of texts, or of its cells."""
    if model.inputs.kind == "text":
        return encoder_of(model.heads.read)
    return Encoding.from_dict(model.heads.cells)


def rows_of(model: MultiTaskModel, table: Table) -> np.ndarray:
    """x [M, D]. Raises DataError for columns that are missing, and for a bad cell."""
    texts = model.inputs.kind == "text"
    rows = tuple(table.texts(model.heads.text_column)) if texts else table
    return dense(encoded(rows, row_encoder(model)))


def tasks_of(model: MultiTaskModel, table: Table) -> list[str | DataError | None]:
    """The task of each row."""
    column = model.heads.task_column
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


def asked_images(
    model: MultiTaskModel, items: Sequence[Item], stdin: bytes | None
) -> Iterator[Asked]:
    """Images; the folder that one lies in, or one above it, may name its task."""
    known = set(model.heads.tasks)
    for name, pixels in images_of(items, model.inputs.image(), stdin):
        if isinstance(pixels, DataError):
            blank = np.zeros((1, int(np.prod(model.inputs.shape))), np.float32)
            yield Asked([name], [pixels], blank)
            continue
        above = [one.name for one in Path(name).parents if one.name in known]
        task = above[0] if above else None
        yield Asked([name], [task], pixels.reshape(1, -1).astype(np.float32))


def answered(
    model: MultiTaskModel, asked: Asked, limit: float | None, far: Outside | None = None
) -> list[TaskPrediction]:
    """The rows of the result for some inputs; what lies outside of what was seen gets an interval
    that also holds the answer for the nearest that was."""
    every = model.heads.tasks
    found = outputs(model, asked.x)
    wider = np.ones(len(asked.x)) if far is None else far.wider
    near = outputs(model, far.inside) if far is not None and far.rows.any() else found
    rows = []
    for number, (name, task) in enumerate(zip(asked.names, asked.tasks, strict=True)):
        if isinstance(task, DataError):
            rows.append(TaskPrediction(name, error=RowError(task.code, task.message)))
            continue
        for one in every if task is None else [task]:
            at = every.index(one)
            value = found[at][number]
            if np.isfinite(value).all():
                made = prediction(model, name, at, value, limit)
                rows.append(widened(made, near[at][number], float(wider[number])))
            else:
                error = not_finite(row_encoder_or_none(model), asked.x[number])
                rows.append(TaskPrediction(name, error=error, task=one))
    return rows


def widened(made: TaskPrediction, near: np.ndarray, wider: float) -> TaskPrediction:
    """A number's interval for a row outside of what was seen."""
    if wider == 1.0 or made.low is None or made.high is None or np.ndim(near):
        return made
    ends = (float(made.prediction or 0.0), float(near))
    off = wider * (made.high - made.low) / 2
    return replace(made, low=min(ends) - off, high=max(ends) + off)


def row_encoder_or_none(model: MultiTaskModel) -> Encoder | None:
    return None if model.inputs.kind == "image" else row_encoder(model)


@torch.no_grad()
def outputs(model: MultiTaskModel, x: np.ndarray) -> list[np.ndarray]:
    """What the network gives for rows [M, D], for each task: [M] or [M, C]."""
    problem = model.problem()
    mean = model.params["input.mean"]
    rows = torch.from_numpy(x).to(mean.device, mean.dtype)
    found = problem.predict(model.params, rows).cpu().double().numpy()
    return [answer(problem, task, one) for task, one in enumerate(found)]


def prediction(
    model: MultiTaskModel, name: str, task: int, value: np.ndarray, limit: float | None
) -> TaskPrediction:
    """A value with the interval that held 95 % of the validation rows, or a label.

    Args:
        value: [], or probabilities [C].
    """
    title = model.heads.tasks[task]
    if model.heads.regresses(task):
        spread, at = (model.heads.spread or {}).get(str(task)), float(value)
        low, high = (None, None) if spread is None else (at - spread, at + spread)
        return TaskPrediction(name, at, low=low, high=high, task=title)
    labels = model.heads.labels[task]
    chances = np.array([1 - value, value]) if np.ndim(value) == 0 else value
    best = int(chances.argmax())
    rejected = limit is not None and chances[best] < limit
    label = NONE_OF_THESE if rejected else labels[best]
    named = dict(zip(labels, map(float, chances), strict=True))
    return TaskPrediction(name, label, named, task=title)
