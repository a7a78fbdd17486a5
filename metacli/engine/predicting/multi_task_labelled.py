"""A user's own labelled rows for the tasks of a multi-task model: a table whose column names the
task of each row, or whose columns are the tasks; or a folder of tables or of class folders, each
called as its task."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from metacli.data.files import shown
from metacli.data.multi_task.from_user import name_of, only_table
from metacli.data.tables.choice import Choice, names_in
from metacli.data.tables.columns import find_target
from metacli.data.tables.reader import Table, read_table
from metacli.data.tables.targets import targets_of
from metacli.data.user.listing import Listing, kind_of, not_a_task
from metacli.data.user.open import Reading, list_task, load_task
from metacli.engine.models.model import MultiTaskModel
from metacli.engine.predicting.multi_task_predict import rows_of
from metacli.errors import DataError, UsageProblem, first_names

NAMED = 8  # tasks or classes in a message


@dataclass(frozen=True)
class Labelled:
    """Rows of one task.

    Args:
        task: its number among those of the model.
        x: [M, D] as the model reads them. y: [M] in the user's units, or labels as the model
            numbers them.
        names: of the rows. texts: what they say, where they are texts.
    """

    task: int
    x: np.ndarray
    y: np.ndarray
    names: tuple[str, ...]
    texts: tuple[str, ...] = ()


def labelled_rows(model: MultiTaskModel, path: Path, reading: Reading) -> list[Labelled]:
    """The rows of each task that is there, in the model's order; the query of a task that has one.

    Raises:
        UsageProblem: columns to predict from are named, which the model knows itself.
        DataError: no task of the model, another task, or rows that cannot be read.
    """
    choice = reading.choice
    if choice.inputs is not None:
        raise UsageProblem("--input: a multi-task model knows the columns that it reads")
    found: dict[int, Labelled] = {}
    if model.inputs.kind == "image":
        for name, folder in task_folders(path):
            number = number_of(model, name, folder)
            found[number] = of_images(model, number, folder, reading)
    else:
        for piece in pieces_of(model, path, choice):
            one = of_table(model, piece)
            if len(one.y):
                found[piece.task] = one
    if not found:
        raise DataError(
            f"{shown(path)} has no labelled row of a task of this model",
            code="data.no_tasks",
            where=shown(path),
            hint=f"its tasks are {first_names(model.heads.tasks, NAMED)}",
        )
    return [found[number] for number in sorted(found)]


@dataclass(frozen=True)
class Piece:
    """Rows of a table that are of one task; their names, since rows that are picked get new
    numbers."""

    task: int
    table: Table
    target: str
    names: tuple[str, ...]


def number_of(model: MultiTaskModel, name: str, where: Path | str) -> int:
    """Raises DataError for a name that is no task of the model."""
    tasks = model.heads.tasks
    if name in tasks:
        return tasks.index(name)
    raise DataError(
        f"{name!r} is no task of this model",
        code="data.unknown_task",
        where=str(where),
        hint=f"its tasks are {first_names(tasks, NAMED)}",
    )


def task_folders(path: Path) -> Iterator[tuple[str, Path]]:
    """Folders of one task each; a folder that is one task stands for itself."""
    listing = list_task(path)
    if listing.what == "task":
        yield path.absolute().name, path
    elif listing.what == "tasks":
        yield from ((name_of(child), child.path) for child in listing.children)
    else:
        raise not_a_task(listing)


def of_images(model: MultiTaskModel, number: int, folder: Path, reading: Reading) -> Labelled:
    spec = model.inputs.image()
    task = load_task(
        folder,
        spec,
        skip_bad=reading.skip_bad,
        allow_duplicates=reading.allow_duplicates,
        one_class=True,
    )
    rows = task.support if task.query is None else task.query
    assert rows.y is not None
    known = model.heads.labels[number]
    at = {label: place for place, label in enumerate(known)}
    y = [label_number(task.labels[one], at, rows.names[row]) for row, one in enumerate(rows.y)]
    x = rows.x.reshape(len(rows.x), -1).astype(np.float32)
    return Labelled(number, x, np.array(y, float), tuple(f"{folder}/{one}" for one in rows.names))


def pieces_of(model: MultiTaskModel, path: Path, choice: Choice) -> Iterator[Piece]:
    """The rows of each task, with the column that is to be predicted: the one that `choice` names,
    or of several that are tasks those."""
    if path.is_dir() and not is_single(path):
        targets = set(model.heads.targets)
        usual = next(iter(targets)) if len(targets) == 1 else None
        listing: Listing = list_task(path, choice=replace(choice, usual_target=usual))
        if listing.what != "tasks":
            raise not_a_task(listing)
        for child in listing.children:
            table = child.tables.query or child.tables.support
            number = number_of(model, name_of(child), table.name)
            yield Piece(number, table, child.tables.target, every(table))
        return
    file = only_table(path)
    table = read_table(file)
    column = model.heads.task_column
    if column is not None and column in table.columns:
        yield from by_column(model, table, column, choice)
    elif own := [one for one in model.heads.tasks if one in table.columns]:
        for name in named(choice, own):
            yield known_only(Piece(number_of(model, name, ""), table, name, every(table)))
    elif file.stem in model.heads.tasks:
        number = number_of(model, file.stem, table.name)
        yield Piece(number, table, target_of(model, number, table, choice), every(table))
    else:
        raise DataError(
            f"{table.name} says nowhere of which task its rows are",
            code="data.no_tasks",
            where=table.name,
            hint=how_to_say_tasks(model),
        )


def how_to_say_tasks(model: MultiTaskModel) -> str:
    """A table of several targets has a column for each; other rows name their task."""
    tasks, column = first_names(model.heads.tasks, NAMED), model.heads.task_column
    if set(model.heads.targets) == set(model.heads.tasks):
        return f"a column for each task with labels, or for some of them: {tasks}"
    named = shown(column or "task")
    return f"a column {named} names the task of each row; the model's tasks are {tasks}"


def is_single(path: Path) -> bool:
    """Whether a folder holds one table and nothing else that is read."""
    tables = [one for one in path.iterdir() if kind_of(one.name) == "table"]
    return len(tables) == 1 and not any(one.is_dir() for one in path.iterdir())


def every(table: Table) -> tuple[str, ...]:
    return tuple(table.row(number) for number in range(len(table)))


def by_column(model: MultiTaskModel, table: Table, column: str, choice: Choice) -> Iterator[Piece]:
    names = np.array(targets_of(table, column))
    rows = every(table)
    for name in dict.fromkeys(names.tolist()):
        mine = np.flatnonzero(names == name)
        number = number_of(model, name, rows[int(mine[0])])
        part = table.rows(mine)
        target = target_of(model, number, table, choice)
        yield Piece(number, part, target, tuple(rows[row] for row in mine))


def target_of(model: MultiTaskModel, number: int, table: Table, choice: Choice) -> str:
    """The column that the task predicts: as in training, or the only one that is called so."""
    targets = model.heads.targets
    usual = targets[number] if number < len(targets) else None
    target, _ = find_target(table, replace(choice, usual_target=usual), needed=True)
    assert target is not None
    return target


def named(choice: Choice, tasks: list[str]) -> list[str]:
    """The tasks that `choice` names as targets, all where it names none."""
    wanted = names_in(choice.target)
    if wanted is None:
        return tasks
    if unknown := [one for one in wanted if one not in tasks]:
        raise DataError(
            f"{shown(unknown[0])} is no task of this model",
            code="data.unknown_task",
            hint=f"its tasks are {first_names(tasks, NAMED)}",
        )
    return [one for one in tasks if one in wanted]


def known_only(piece: Piece) -> Piece:
    """Without the rows whose target is missing: they may be there for another task."""
    words = piece.table.words(piece.target)
    kept = [number for number, word in enumerate(words) if word is not None]
    names = tuple(piece.names[number] for number in kept)
    return replace(piece, table=piece.table.rows(kept), names=names)


def of_table(model: MultiTaskModel, piece: Piece) -> Labelled:
    x = rows_of(model, piece.table)
    if model.heads.regresses(piece.task):
        y = piece.table.numbers(piece.target)
        missing = np.flatnonzero(np.isnan(y))
        if len(missing):
            where = piece.names[int(missing[0])]
            raise DataError(
                f"{where} has no {shown(piece.target)}, which is to be predicted",
                code="table.no_label",
                where=where,
            )
    else:
        labels = model.heads.labels[piece.task]
        at = {label: place for place, label in enumerate(labels)}
        cells = targets_of(piece.table, piece.target)
        pairs = zip(cells, piece.names, strict=True)
        y = np.array([label_number(cell, at, name) for cell, name in pairs], float)
    texts = tuple(piece.table.texts(model.heads.text_column)) if model.inputs.kind == "text" else ()
    return Labelled(piece.task, x, y, piece.names, texts)


def label_number(label: str, known: Mapping[str, int], where: str) -> int:
    """Raises DataError for a class that its task did not have in training."""
    if label in known:
        return known[label]
    raise DataError(
        f"{where} is a {label!r}, and its task has the classes {first_names(list(known), NAMED)}",
        code="data.unknown_class",
        where=where,
    )
