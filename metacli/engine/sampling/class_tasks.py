"""`sample` of classification tasks: the rows of one task as a user would have written them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from metacli.data.few_shot.class_tasks import ClassTaskEpisodes, ClassTasks
from metacli.data.few_shot.read_class_tasks import numbers_as_tables
from metacli.data.multi_task.dataset import MultiTaskData
from metacli.data.sources import load_class_tasks, tasks_with_cells
from metacli.data.tables.encoding import Encoding
from metacli.engine.sampling.rows import LABEL, TEXT, Drawn, csv_bytes
from metacli.engine.storage.paths import cache_root
from metacli.errors import DataError


def draw_class_task(data: str, way: int, shot: int, query: int, split: str, seed: int) -> Drawn:
    """One task of a split, at random, with support.csv and query.csv of it.

    Args:
        way: of tasks whose labels differ; otherwise all of theirs.
        shot, query: rows of each class.

    Raises:
        DataError: not fetched yet, images, or a task with too few rows.
    """
    whole = tasks_with_cells(data, {}, cache_root())
    if whole.shape:
        raise DataError(
            f"the tasks of {data} are images, which `sample` draws from pools of classes",
            code="data.no_rows",
            where=data,
            hint="metacli sample omniglot DIR",
        )
    tasks = load_class_tasks(data, split, {}, cache_root())
    labels = len(tasks.shared) if tasks.shared is not None else way
    key = (seed, tasks.digest, split, labels, shot, query)
    source = ClassTaskEpisodes(tasks, labels, shot, query, seed=key)
    drawn = source.members(0)
    files = {
        f"{side}.csv": rows_bytes(whole, tasks, drawn.task, rows)
        for side, rows in (("support", drawn.support), ("query", drawn.query))
    }
    names = tuple(tasks.labels[drawn.task][one] for one in drawn.labels)
    counts = len(drawn.support), len(drawn.query)
    return Drawn(files, tuple(sorted(names)), tasks.digest, labels, *counts)


def rows_bytes(whole: MultiTaskData, tasks: ClassTasks, task: int, rows: np.ndarray) -> bytes:
    """CSV of some rows of a task with their labels in the last column."""
    named = [tasks.labels[task][int(one)] for one in tasks.y[task][rows]]
    at, number = tasks.rows[task].at[rows], whole.tasks.index(tasks.tasks[task])
    if whole.texts:
        texts = whole.texts[number]
        pairs = zip(at.tolist(), named, strict=True)
        return csv_bytes([TEXT, LABEL], [[texts[place], label] for place, label in pairs])
    table = (whole.raw or numbers_as_tables(whole))[number]
    columns = inputs_of(tasks, table.columns)
    cells = table.frame.select(columns)[at.tolist()].rows()
    lines = [
        [*("" if cell is None else cell for cell in row), y]
        for row, y in zip(cells, named, strict=True)
    ]
    return csv_bytes([*columns, LABEL], lines)


def inputs_of(tasks: ClassTasks, columns: Sequence[str]) -> list[str]:
    """The columns that are read, in the order of the table."""
    assert isinstance(tasks.encoder, Encoding)  # as of every set of cells
    read = {one.name for one in tasks.encoder.columns}
    return [one for one in columns if one in read]
