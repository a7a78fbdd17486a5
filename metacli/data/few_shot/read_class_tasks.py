"""Sets of many classification tasks as tasks to learn from, to validate on and to test on.

What makes numbers of cells or texts is fitted to the rows of the training tasks alone.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from functools import lru_cache

import numpy as np

from metacli.data.catalogue.options import check_options
from metacli.data.few_shot.class_tasks import ClassTasks
from metacli.data.few_shot.pools import SPLITS, Store, check_split
from metacli.data.few_shot.regression import divide_tasks
from metacli.data.few_shot.task_rows import KnownLabels, TaskRows, known_labels, with_labels
from metacli.data.few_shot.user_regression import columns_of
from metacli.data.multi_task.dataset import MultiTaskData
from metacli.data.multi_task.read_as import Columns, TextColumns
from metacli.data.plain import Record
from metacli.data.tables.choice import names_in
from metacli.data.tables.coded import CodedRows, Encoder, coded
from metacli.data.tables.encoding import Categorical, Column, DatePart, Encoding, Numeric
from metacli.data.tables.fitting import fit_encoding
from metacli.data.tables.kinds import Kind
from metacli.data.tables.molecules import TextCells
from metacli.data.tables.reader import Table
from metacli.data.tables.text import HashedText
from metacli.errors import DataError

EVERY = "*"
LAST = re.compile(r"last:(\d{1,6})")
TEST_SHARE, VAL_SHARE = 0.2, 0.1  # of the tasks that are left, where some parts are named
FEATURES = 8192  # of hashed texts, as for a pool of texts


@dataclass(frozen=True)
class TaskSplitOptions:
    """What a recipe's `data` says of the tasks, besides the options of the set itself.

    Args:
        test_tasks, val_tasks: names of tasks, with commas between them, or `last:N`, the last so
            many of those that are left in their order; of those that are not named some are drawn
            where nothing is said. `*`: every task is test.
        skip_small: tasks that have too few rows for an episode are left out.
        known_labels: the labels of the training tasks are inputs, where they are known, but for
            the label that is asked for; for targets of the same rows.
    """

    test_tasks: str = ""
    val_tasks: str = ""
    skip_small: bool = False
    known_labels: bool = False


TASK_SPLIT = tuple(one.name for one in fields(TaskSplitOptions))


def task_split_of(options: Record) -> TaskSplitOptions:
    """Raises DataError for a value of the wrong type."""
    said = {key: value for key, value in options.items() if key in TASK_SPLIT}
    return check_options("a set of tasks", TaskSplitOptions, said)


def without_task_split(options: Record) -> Record:
    """The options of the set itself."""
    return {key: value for key, value in options.items() if key not in TASK_SPLIT}


Parts = dict[str, list[str]]


def divide(tasks: Sequence[str], asked: TaskSplitOptions, where: str) -> Parts:
    """The tasks of each part: as named, or 72/8/20 % in the order of SHA-256 of their names.

    Raises:
        DataError: a name that no task has, or a part that would be empty.
    """
    if asked.test_tasks == EVERY:
        return {"train": [], "val": [], "test": list(tasks)}
    named = {"test": named_tasks(asked.test_tasks, tasks, where)}
    after = [one for one in tasks if one not in named["test"]]
    named["val"] = named_tasks(asked.val_tasks, after, where)
    if not named["test"] and not named["val"]:
        return divide_tasks(tasks, where)
    left = [one for one in tasks if one not in named["test"] + named["val"]]
    left.sort(key=lambda one: hashlib.sha256(one.encode("utf-8", "surrogateescape")).digest())
    for part, share in (("test", TEST_SHARE), ("val", VAL_SHARE)):
        if not named[part]:
            count = max(1, round(share * len(left)))
            named[part], left = left[-count:], left[:-count]
    if not left:
        raise DataError(
            f"of {len(tasks)} tasks {len(named['test'])} are test and {len(named['val'])} "
            "validation: no task is left to learn from",
            code="data.too_few_tasks",
            where=where,
        )
    order = {one: place for place, one in enumerate(tasks)}
    parts = {"train": left, **named}
    return {split: sorted(parts[split], key=order.__getitem__) for split in SPLITS}


def named_tasks(text: str, tasks: Sequence[str], where: str) -> list[str]:
    """Names, or `last:N`. Raises DataError for a name that no task has."""
    if (last := LAST.fullmatch(text)) and 0 < int(last[1]) < len(tasks):
        return list(tasks[-int(last[1]) :])
    found = [text] if text in tasks else list(names_in(text) or ())
    unknown = [one for one in found if one not in tasks]
    if unknown:
        raise DataError(
            f"no task is called {unknown[0]}",
            code="data.unknown_task",
            where=where,
            hint=f"the tasks are {', '.join(tasks[:12])}" + (", ..." if len(tasks) > 12 else ""),
        )
    return found


def class_tasks(data: MultiTaskData, split: str, asked: TaskSplitOptions) -> ClassTasks:
    """The tasks of a split.

    Raises:
        DataError: tasks that are no classifications, too few tasks, or names that none has.
    """
    check_split(split, data.name)
    if set(data.kinds) != {"classification"}:
        numbers = [
            t for t, kind in zip(data.tasks, data.kinds, strict=True) if kind != data.kinds[0]
        ]
        raise DataError(
            f"{data.name} has tasks with classes and tasks with numbers ({numbers[0]}); tasks that "
            "are new are of one kind",
            code="data.mixed_kinds",
            where=data.name,
            hint=f"metacli multitask learns them together: metacli multitask {data.name}",
        )
    parts = divide(data.tasks, asked, data.name)
    place = {one: number for number, one in enumerate(data.tasks)}
    learned = [place[one] for one in parts["train"] or parts["test"]]
    chosen = [place[one] for one in parts[split]]
    stores, encoder = stores_of(data, learned)
    shared = data.labels[0] if len(set(data.labels)) == 1 else None
    labels = labels_of(data, learned, shared) if asked.known_labels else None
    if labels is not None and isinstance(encoder, Encoding):
        encoder = with_labels(encoder, labels.columns)
    known = [np.flatnonzero(~np.isnan(data.y[one])) for one in chosen]
    rows = tuple(
        TaskRows(stores[one], at, None if labels is None else masked(labels, data.tasks[one]))
        for one, at in zip(chosen, known, strict=True)
    )
    y = tuple(data.y[one][at].astype(np.int64) for one, at in zip(chosen, known, strict=True))
    binary = shared is not None and len(shared) == 2
    return ClassTasks(
        name=data.name,
        split=split,
        tasks=tuple(parts[split]),
        rows=rows,
        y=y,
        labels=tuple(data.labels[one] for one in chosen),
        shared=shared,
        metric="auc" if binary and data.metric == "auc" else "accuracy",
        encoder=encoder,
        digest=digest_of(data, parts, split, encoder, y),
    )


def digest_of(
    data: MultiTaskData, parts: Parts, split: str, encoder: Encoder | None, y: Sequence[np.ndarray]
) -> str:
    read = None if encoder is None else encoder.as_dict()
    facts = [data.contents, split, {one: parts[one] for one in SPLITS}, read]
    whole = hashlib.sha256(json.dumps(facts).encode())
    for one in y:
        whole.update(one.astype("<i8").tobytes())
    return whole.hexdigest()


def stores_of(data: MultiTaskData, learned: Sequence[int]) -> tuple[list[Store], Encoder | None]:
    """Where the rows of each task lie, and what reads them, fitted to the tasks learned from."""
    if data.shape:
        images = [np.asarray(x, np.uint8).reshape(len(x), *data.shape) for x in data.x]
        return list(images), None
    if data.texts:
        words = tuple(text for task in learned for text in data.texts[task])
        kept = data.read.encoder if isinstance(data.read, TextColumns) else HashedText()
        reader = fitted(replace(kept, features=FEATURES, idf=()), words)
        return [coded(texts, reader) for texts in data.texts], reader
    tables = data.raw or numbers_as_tables(data)
    own = [tables[one] for one in learned]
    if data.rows == "shared":
        labelled = ~np.isnan(np.stack([data.y[one] for one in learned])).all(0)
        own = [tables[0].rows(np.flatnonzero(labelled).tolist())]
    encoding = fit_encoding(own, kinds_of(data))
    if data.rows == "shared":
        return [CodedRows(tables[0], encoding)] * len(data.tasks), encoding
    return [CodedRows(one, encoding) for one in tables], encoding


@lru_cache(maxsize=2)  # a run asks for its splits one by one
def fitted(reader: HashedText, texts: tuple[str, ...]) -> HashedText:
    return reader.fit(texts)


def numbers_as_tables(data: MultiTaskData) -> tuple[Table, ...]:
    """Each task as a user's table would hold its inputs."""
    import polars as pl  # slow to import

    names = columns_of(data)
    found: list[Table] = []
    for task, x in zip(data.tasks, data.x, strict=True):
        if found and x is data.x[0]:
            found.append(found[0])
            continue
        cells = pl.DataFrame({name: x[:, at] for at, name in enumerate(names)})
        found.append(Table(task, cells.select(pl.all().cast(pl.String))))
    return tuple(found)


def kinds_of(data: MultiTaskData) -> dict[str, Kind]:
    """What each input column holds."""
    if not isinstance(data.read, Columns):
        return dict.fromkeys(columns_of(data), "numeric")
    return {one.name: kind_of(one) for one in data.read.encoding.columns}


def kind_of(column: Column) -> Kind:
    match column:
        case Numeric():
            return "numeric"
        case DatePart():
            return "date"
        case Categorical():
            return "categorical"
        case TextCells():
            return "text"
        case _:
            return "molecules"


def labels_of(
    data: MultiTaskData, learned: Sequence[int], shared: tuple[str, ...] | None
) -> KnownLabels:
    """The labels of the training tasks as inputs.

    Raises:
        DataError: the tasks are not targets of the same rows, with the same labels.
    """
    if data.rows != "shared" or shared is None or not data.raw:
        raise DataError(
            "known_labels is for several targets of the same rows with the same labels",
            code="data.option_value",
            where=data.name,
        )
    names = tuple(data.tasks[one] for one in learned)
    return KnownLabels(*known_labels(names, data.raw[0], shared), None)


def masked(labels: KnownLabels, task: str) -> KnownLabels:
    """For a task whose own label is not to be seen."""
    first = 0
    for column in labels.columns:
        if column.name == task:
            return KnownLabels(labels.numbers, labels.columns, (first, first + column.width))
        first += column.width
    return labels
