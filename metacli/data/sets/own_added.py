"""More tasks, or more rows of its tasks, for a set that is known already."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from metacli.data.files import scan, shown
from metacli.data.multi_task.from_tables import Piece
from metacli.data.sets.own_files import FoundSet, OwnSets, target_of
from metacli.data.sets.own_one import OneSet, Reads, of_folders, of_pieces, read_one
from metacli.data.sets.own_tasks import OwnTask
from metacli.data.tables.reader import read_table
from metacli.data.user.open import list_task
from metacli.errors import DataError


def read_added(path: Path, options: OwnSets, reads: Reads) -> OneSet:
    """The tasks at a path: a set as `read_one` reads it; or one task, which is called like its file
    or folder: a table without a column of tasks, or class folders.

    Raises:
        DataError: as `read_one`.
    """
    if not path.is_dir():
        table = read_table(path)
        if not options.task and len(options.targets) < 2 and "task" not in table.columns:
            piece = Piece(shown(path.stem), table, target_of(table, options))
            return of_pieces(FoundSet(path.stem, (piece,)), options, reads, "tables")
    elif is_one_task(path):
        return of_folders(FoundSet(path.name, folders=(list_task(path),)), reads)
    return read_one(path, options, reads)


def is_one_task(path: Path) -> bool:
    """Whether a folder holds the classes of one task, and no tasks or tables."""
    entries = scan(path)
    return bool(entries.folders) and not any(scan(path / one).folders for one in entries.folders)


def joined(before: OneSet, more: OneSet, *, shared_labels: bool) -> OneSet:
    """The tasks of both; rows of a task that both have are put together. Labels keep their names
    and may get other numbers.

    Raises:
        DataError: rows that are known already, or a task that is a classification in one of the
            two and a regression in the other.
    """
    store = np.concatenate([before.store, more.store])
    tasks = {one.name: one for one in before.tasks}
    targets = dict(zip(tasks, before.targets, strict=True))
    for one, target in zip(more.tasks, more.targets, strict=True):
        moved = replace(one, rows=one.rows + len(before.store), tested=0)
        if one.name in tasks:
            moved = both(store, tasks[one.name], moved, more.name)
        tasks[one.name] = moved
        targets.setdefault(one.name, target)
    found = tuple(tasks.values())
    if shared_labels:
        every = tuple(sorted({label for one in found for label in one.labels}))
        found = tuple(relabelled(one, every) if one.labels else one for one in found)
    return replace(before, tasks=found, store=store, targets=tuple(targets.values()))


def both(store: np.ndarray, known: OwnTask, added: OwnTask, name: str) -> OwnTask:
    """The rows of one task from both sets."""
    if bool(known.labels) != bool(added.labels):
        kinds = ("a classification", "a regression")
        is_, was = kinds if added.labels else kinds[::-1]
        raise DataError(
            f"task {shown(known.name)} of {shown(name)} is {is_}, in the model {was}",
            code="data.mismatch",
            where=name,
        )
    labels = tuple(sorted({*known.labels, *added.labels}))
    known, added = (relabelled(one, labels) if labels else one for one in (known, added))
    again = count_known(store, known, added)
    if again:
        raise DataError(
            f"the model knows {again} of {len(added.y)} rows of task {shown(added.name)} in "
            f"{shown(name)} already",
            code="sets.known_rows",
            where=name,
            hint="leave them out: --add takes new rows and new tasks",
        )
    rows, y = np.concatenate([known.rows, added.rows]), np.concatenate([known.y, added.y])
    return replace(known, rows=rows, y=y)


def relabelled(task: OwnTask, labels: tuple[str, ...]) -> OwnTask:
    """The same task with its classes numbered by `labels`, which hold its own."""
    places = np.array([labels.index(one) for one in task.labels], float)
    y = np.full(len(task.y), np.nan)
    known = ~np.isnan(task.y)
    y[known] = places[task.y[known].astype(int)]
    return replace(task, y=y, labels=labels)


def count_known(store: np.ndarray, known: OwnTask, added: OwnTask) -> int:
    """Labelled rows that both have."""

    def facts(task: OwnTask) -> list[tuple[bytes, float]]:
        return [
            (store[row].tobytes(), float(np.float32(y)))
            for row, y in zip(task.rows, task.y, strict=True)
            if not np.isnan(y)
        ]

    before = set(facts(known))
    return sum(one in before for one in facts(added))
