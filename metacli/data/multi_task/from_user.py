"""A user's own files as a set of tasks that are learned together: a table with several targets, a
table with a column of tasks, or a folder of tasks (tables, texts, or class folders of images)."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from metacli.data.cache.store import Report, silent
from metacli.data.files import scan, shown
from metacli.data.images import ImageSpec, read_image
from metacli.data.multi_task.dataset import MultiTaskData, all_of
from metacli.data.multi_task.from_tables import Piece, metric_of, read_targets, table_set
from metacli.data.multi_task.from_texts import text_set
from metacli.data.multi_task.read_as import TextColumns
from metacli.data.tables.choice import Choice, names_in, type_in
from metacli.data.tables.reader import Table, read_table
from metacli.data.tables.text import HashedText
from metacli.data.user.listing import Listing, kind_of
from metacli.data.user.open import list_task
from metacli.errors import DataError, Finding

TEXT_FEATURES = 32_768


@dataclass(frozen=True)
class UserMultiTaskOptions:
    """What is said of the files.

    Args:
        target: the column to predict; several, with commas, are tasks of the same rows.
        task: the column that names the task of a row.
        input: columns to predict from, with commas; all others where it is empty.
        type: classification or regression, where the cells leave it open.
        size, channels: images are made that large, in grey (1) or colour (3).
        split_seed, rows: as for every set of tasks.
    """

    target: str = ""
    task: str = ""
    input: str = ""
    type: str = ""
    size: int = 28
    channels: int = 3
    split_seed: int = 0
    rows: int = 0

    def choice(self) -> Choice:
        return Choice(
            inputs=names_in(self.input), type=type_in(self.type or None), task=self.task or None
        )


def user_multi_task(
    path: Path, options: UserMultiTaskOptions, report: Report = silent
) -> MultiTaskData:
    """The set of tasks at a path.

    Raises:
        DataError: one task alone, tables of different columns, or files that cannot be read.
    """
    targets = [one.strip() for one in options.target.split(",") if one.strip()]
    if len(targets) > 1:
        return several_targets(path, targets, options)
    choice = replace(options.choice(), target=targets[0] if targets else None)
    listing = list_task(path, choice=choice)
    if listing.what != "tasks":
        raise DataError(
            f"{shown(path)} holds one task; two or more are learned together",
            code="data.no_tasks",
            where=shown(path),
            hint="data.task=COLUMN names the task of each row, --target A,B several targets; a "
            "folder may have a table or a folder for each task; one task alone: metacli adapt",
        )
    makers = {"table": of_tables, "text": of_texts, "images": of_images}
    return makers[listing.kind](listing, choice, options)


def several_targets(
    path: Path, targets: Sequence[str], options: UserMultiTaskOptions
) -> MultiTaskData:
    """One table, each target a task. Raises DataError for a target that is named twice."""
    if twice := [one for one in dict.fromkeys(targets) if targets.count(one) > 1]:
        raise DataError(
            f"target {', '.join(map(shown, twice))} is named more than once",
            code="data.no_tasks",
            where=shown(path),
            hint="name each column to predict once",
        )
    file = only_table(path)
    table = read_table(file)
    pieces = [Piece(table.require(one), table, one) for one in targets]
    made, _ = table_set(
        shown(file.name),
        pieces,
        replace(options.choice(), task=None),
        digest_of([table]),
        options.split_seed,
        folder=file.parent,
    )
    return made


def only_table(path: Path) -> Path:
    if not path.is_dir():
        return path
    tables = [name for name in scan(path).files if kind_of(name) == "table"]
    if len(tables) == 1:
        return path / tables[0]
    raise DataError(
        f"{shown(path)} holds {len(tables)} tables; several targets are columns of one",
        code="data.no_tasks",
        where=shown(path),
    )


def of_tables(listing: Listing, choice: Choice, options: UserMultiTaskOptions) -> MultiTaskData:
    pieces = [piece_of(one) for one in listing.children]
    made, _ = table_set(
        shown(listing.path.name),
        pieces,
        replace(choice, target=None),
        digest_of([one.table for one in pieces]),
        options.split_seed,
        folder=listing.path,
    )
    return made


def piece_of(child: Listing) -> Piece:
    """A task with its query behind its support: those rows are test."""
    content = child.tables
    query, table = content.query, content.support
    if query is not None:
        import polars as pl  # slow to import

        frame = pl.concat([table.frame, query.frame.select(table.frame.columns)])
        table = Table(table.name, frame, table.first)
    return Piece(name_of(child), table, content.target, 0 if query is None else len(query))


def name_of(child: Listing) -> str:
    name = child.path.name
    return shown(child.path.stem if kind_of(name) == "table" else name)


def of_texts(listing: Listing, choice: Choice, options: UserMultiTaskOptions) -> MultiTaskData:
    pieces = [piece_of(one) for one in listing.children]
    answers = read_targets(pieces, choice)
    column = listing.children[0].tables.roles.inputs[0]
    tested = tuple(one.tested for one in pieces)
    made = MultiTaskData(
        name=shown(listing.path.name),
        tasks=tuple(one.task for one in pieces),
        x=tuple(np.zeros((len(one.table), 0), np.float32) for one in pieces),
        y=tuple(one.y for one in answers),
        kinds=tuple(one.kind for one in answers),
        metric=metric_of(answers, shared=False),
        contents=digest_of([one.table for one in pieces]),
        split="last" if any(tested) else "random",
        test_rows=tested,
        classes=tuple(one.labels for one in answers),
        texts=tuple(tuple(one.table.texts(column)) for one in pieces),
    )
    encoder = HashedText(TEXT_FEATURES, characters=(0, 0))
    encoded = text_set(made, encoder, options.split_seed)
    assert isinstance(encoded.read, TextColumns)
    return replace(encoded, read=replace(encoded.read, column=column, task=choice.task or "task"))


def of_images(listing: Listing, choice: Choice, options: UserMultiTaskOptions) -> MultiTaskData:
    """Class folders for each task; images of a query are test."""
    spec = ImageSpec(options.channels, options.size, options.size)
    x, y, classes, tested = [], [], [], []
    whole = hashlib.sha256()
    bad: list[Finding] = []
    for child in listing.children:
        rows = (*child.support, *(child.query or ()))
        pixels = []
        for row in rows:
            try:
                pixels.append(read_image(row.path, spec).reshape(-1))
            except DataError as error:
                bad.append(Finding("error", error.code, error.message, error.where, error.hint))
        if bad:
            continue
        x.append(np.stack(pixels))
        y.append(np.array([child.labels.index(row.label or "") for row in rows], float))
        classes.append(child.labels)
        tested.append(len(child.query or ()))
        whole.update(x[-1].tobytes() + y[-1].tobytes())
    if bad:
        message = f"{len(bad)} images cannot be read, the first: {bad[0].message}"
        raise DataError(
            message, code="data.unreadable", where=bad[0].where, findings=tuple(bad[:20])
        )
    return MultiTaskData(
        name=shown(listing.path.name),
        tasks=tuple(name_of(one) for one in listing.children),
        x=tuple(x),
        y=tuple(y),
        kinds=all_of("classification", len(x)),
        metric="accuracy",
        contents=whole.hexdigest(),
        split="last" if any(tested) else "random",
        test_rows=tuple(tested),
        classes=tuple(classes),
        shape=(options.channels, options.size, options.size),
        levels=(0.0, 255.0),
    )


def digest_of(tables: Sequence[Table]) -> str:
    """SHA-256 hex of the cells."""
    whole = hashlib.sha256()
    for one in tables:
        whole.update(one.frame.write_csv().encode())
    return whole.hexdigest()
