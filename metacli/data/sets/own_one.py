"""One set of a user's own tasks, read as a model of sets reads it: to adapt to, and rows to
predict."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np

from metacli.data.files import scan, shown
from metacli.data.images import FILE_SUFFIXES, ImageSpec, read_image
from metacli.data.sets.own_files import FoundSet, OwnSets, named, of_set_folder, of_table
from metacli.data.sets.own_tasks import (
    Level,
    OwnTask,
    kinds_of,
    labels_of,
    numbers_of,
    task_of,
)
from metacli.data.tables.coded import Encoder
from metacli.data.tables.columns import assign
from metacli.data.tables.encoding import Encoding
from metacli.data.tables.reader import Table, read_table
from metacli.data.user.listing import kind_of
from metacli.errors import DataError

SetLayout = Literal["columns", "rows", "tables", "folders"]


def as_read(images: np.ndarray) -> np.ndarray:
    """The images as they are."""
    return images


@dataclass(frozen=True)
class Reads:
    """What a model takes.

    Args:
        spec: of images, or what makes numbers of texts or cells.
        levels: mean and scale of each target that is a number.
        shared_labels: class n is the same in every task of a set.
        features: images [M, C, H, W] to what the model keeps of them.
    """

    spec: ImageSpec | Encoder
    levels: Mapping[str, Level]
    shared_labels: bool
    features: Callable[[np.ndarray], np.ndarray] = as_read


@dataclass(frozen=True)
class OneSet:
    """The tasks of a set.

    Args:
        store: what `OwnTask.rows` count. targets: the column of each task; None of class folders.
        layout: columns of one table, rows of one table, a table for each task, or class folders.
        task: the column that names a row's task.
    """

    name: str
    tasks: tuple[OwnTask, ...]
    store: np.ndarray
    targets: tuple[str | None, ...]
    layout: SetLayout
    task: str | None = None


def read_one(path: Path, options: OwnSets, reads: Reads) -> OneSet:
    """The set at a path: a folder with a table or class folders for each task, or a table.

    Raises:
        DataError: other columns or files than the model reads, or a task without labels.
    """
    if path.is_dir():
        found = of_set_folder(path, options)
    else:
        table = read_table(path)
        if not options.task and len(options.targets) < 2 and "task" in table.columns:
            options = replace(options, task="task")
        found = of_table(path.stem, table, path, options)
    if found.folders:
        return of_folders(found, reads)
    layout: SetLayout = "columns" if found.shared_rows else "tables" if path.is_dir() else "rows"
    return of_pieces(found, options, reads, layout)


def of_pieces(found: FoundSet, options: OwnSets, reads: Reads, layout: SetLayout) -> OneSet:
    if isinstance(reads.spec, ImageSpec):
        raise mismatch(found.name, "tables", "images")
    kinds = kinds_of(found.pieces, options)
    kinds |= dict.fromkeys(kinds.keys() & reads.levels.keys(), "regression")  # as it was trained
    labels = labels_of([found], kinds)
    if reads.shared_labels:
        every = tuple(sorted({one for some in labels.values() for one in some}))
        labels = dict.fromkeys(labels, every)
    tasks: list[OwnTask] = []
    blocks: list[np.ndarray] = []
    first = 0
    for piece in found.pieces:
        if not (found.shared_rows and tasks):
            blocks.append(encoded_rows(piece.table, piece.target, reads.spec))
            first += len(piece.table)
        rows = np.arange(first - len(piece.table), first, dtype=np.int64)
        own = labels.get(id(piece), ())
        tasks.append(task_of(found, piece, kinds[piece.target], rows, reads.levels, own))
    targets = tuple(piece.target for piece in found.pieces)
    store = np.concatenate(blocks).astype(np.float32)
    task = options.task if layout == "rows" else None
    return OneSet(found.name, tuple(tasks), store, targets, layout, task)


def encoded_rows(table: Table, target: str | None, encoder: Encoder) -> np.ndarray:
    """float32 [M, F] of a table's rows."""
    if isinstance(encoder, Encoding):
        return numbers_of(table, encoder, None)
    kept = [one for one in table.columns if one != target]
    bare = Table(table.name, table.frame.select(kept), table.first)
    choice = OwnSets().choice()
    roles = assign(bare, replace(choice, whole="text"), Path(), needs_target=False)
    return numbers_of(table, encoder, roles.inputs[0])


def of_folders(found: FoundSet, reads: Reads) -> OneSet:
    if not isinstance(reads.spec, ImageSpec):
        raise mismatch(found.name, "class folders", "tables")
    pixels: list[np.ndarray] = []
    tasks = []
    every = tuple(sorted({label for child in found.folders for label in child.labels}))
    for child in found.folders:
        labels = every if reads.shared_labels else child.labels
        listed = (*child.support, *(child.query or ()))
        rows = np.arange(len(pixels), len(pixels) + len(listed), dtype=np.int64)
        pixels += [read_image(row.path, reads.spec) for row in listed]
        y = np.array([labels.index(row.label or "") for row in listed], float)
        tasks.append(OwnTask(shown(child.path.name), rows, y, labels))
    targets = (None,) * len(tasks)
    store = reads.features(np.stack(pixels))
    return OneSet(found.name, tuple(tasks), store, targets, "folders")


def mismatch(name: str, holds: str, takes: str) -> DataError:
    return DataError(
        f"{name} holds {holds}, the model takes {takes}", code="data.mismatch", where=name
    )


@dataclass(frozen=True)
class ToPredict:
    """Inputs of one task, and what each is called."""

    task: str
    x: np.ndarray
    names: tuple[str, ...]


def rows_to_predict(path: Path, one: OneSet, reads: Reads) -> list[ToPredict]:
    """The inputs at a path, for each task that they are of: a table whose column names the task of
    a row; a table without one, for every task; a folder with a table or images for each task.

    Args:
        one: what the model is adapted to; its rows are not read.
    Raises:
        DataError: unknown tasks, or files that cannot be read.
    """
    known, spec = tuple(task.name for task in one.tasks), reads.spec
    if isinstance(spec, ImageSpec):
        found = images_to_predict(path, known, spec)
        return [replace(asked, x=reads.features(asked.x)) for asked in found]
    targets = dict(zip(known, one.targets, strict=True))
    if path.is_dir():
        files = [name for name in scan(path).files if kind_of(name) == "table"]
        tables = {Path(name).stem: read_table(path / name) for name in files}
        require_known(path, tables, known)
        return [
            ToPredict(
                task,
                encoded_rows(table, targets[task], spec),
                numbered(path / f"{task}.csv", table),
            )
            for task, table in tables.items()
        ]
    table = read_table(path)
    if one.task is not None and one.task in table.columns:
        return by_task(path, table, one.task, targets, spec)
    x, names = encoded_rows(table, one.targets[0], spec), numbered(path, table)
    return [ToPredict(task, x, names) for task in known]


def by_task(
    path: Path,
    table: Table,
    column: str,
    targets: Mapping[str, str | None],
    spec: Encoder,
) -> list[ToPredict]:
    """The rows of each task that a column names."""
    words, names = named(table, column), numbered(path, table)
    require_known(path, words, tuple(targets))
    found = []
    for task in dict.fromkeys(words):
        rows = [number for number, word in enumerate(words) if word == task]
        part = table.rows(rows)
        part = Table(part.name, part.frame.drop(column), part.first)
        x = encoded_rows(part, targets[task], spec)
        found.append(ToPredict(task, x, tuple(names[row] for row in rows)))
    return found


def images_to_predict(path: Path, known: tuple[str, ...], spec: ImageSpec) -> list[ToPredict]:
    """NEW/<task>/..., or an image, which is answered for every task."""
    if not path.is_dir():
        x = read_image(path, spec)[None]
        return [ToPredict(task, x, (str(path),)) for task in known]
    folders = scan(path).folders
    require_known(path, folders, known)
    found = []
    for task in folders:
        files = sorted(
            one for one in (path / task).rglob("*") if one.suffix.lower() in FILE_SUFFIXES
        )
        if files:
            x = np.stack([read_image(one, spec) for one in files])
            found.append(ToPredict(task, x, tuple(map(str, files))))
    if not found:
        raise DataError(
            f"{shown(path)} holds no images of a task",
            code="predict.nothing",
            where=shown(path),
            hint=f"a folder for each task: {', '.join(known)}",
        )
    return found


def require_known(path: Path, names: Iterable[str], known: tuple[str, ...]) -> None:
    """Raises DataError for a task that the model was not adapted to."""
    unknown = [name for name in dict.fromkeys(names) if name not in known]
    if unknown:
        raise DataError(
            f"{shown(path)} names the task {shown(str(unknown[0]))}; the model is adapted to "
            f"{', '.join(known)}",
            code="sets.unknown_task",
            where=shown(path),
        )


def numbered(path: Path, table: Table) -> tuple[str, ...]:
    """`file:row` of each row, as a spreadsheet numbers it."""
    return tuple(f"{path}:{table.first + number}" for number in range(len(table)))
