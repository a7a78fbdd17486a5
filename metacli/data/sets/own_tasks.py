"""A user's own sets of tasks as numbers: the rows of every task, what its labels are, and which
sets are to learn from, to validate on and to test.

A classification's labels are numbered within its task. Labels are the same in every task of a set
where all tasks of each set have the same classes under one target column. A regression's values are
scaled by the mean and standard deviation of its target column in the training sets.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np

from metacli.data.files import shown
from metacli.data.images import ImageSpec, read_image
from metacli.data.multi_task.from_tables import Piece, joined, names_of
from metacli.data.sets.own_files import SPLITS, FoundSet, OwnSets, find_sets
from metacli.data.tables.coded import Encoder, dense, encoded
from metacli.data.tables.columns import assign
from metacli.data.tables.fitting import fit_encoding
from metacli.data.tables.levels import moments
from metacli.data.tables.reader import Table
from metacli.data.tables.targets import type_of_target
from metacli.data.tables.text import text_encoder
from metacli.errors import DataError, Finding

Level = tuple[float, float]  # mean and scale of a target


@dataclass(frozen=True)
class OwnTask:
    """The rows of one task in the store and their labels; NaN where one is missing.

    Args:
        y: class numbers, or scaled values. labels: of its classes; () of a regression.
        tested: how many rows, the last ones, are its query; 0: queries are drawn.
    """

    name: str
    rows: np.ndarray
    y: np.ndarray
    labels: tuple[str, ...]
    tested: int = 0


@dataclass(frozen=True)
class OwnSet:
    """A set; `shared_rows`: the tasks have labels for the same rows."""

    name: str
    tasks: tuple[OwnTask, ...]
    shared_rows: bool = False


@dataclass(frozen=True)
class OwnData:
    """The sets of one split.

    Args:
        store: uint8 [M, C, H, W] of images, float32 [M, F] of rows or of features of images.
        kind: of the store. encoder: what made numbers of texts or cells.
        levels: mean and scale of each target that is a number.
    """

    name: str
    split: str
    sets: tuple[OwnSet, ...]
    store: np.ndarray
    kind: Literal["image", "text", "numbers"]
    encoder: Encoder | None
    shared_labels: bool
    levels: Mapping[str, Level]
    digest: str

    @property
    def kinds(self) -> frozenset[str]:
        """classification, regression, or both."""
        tasks = (task for one in self.sets for task in one.tasks)
        return frozenset("classification" if task.labels else "regression" for task in tasks)


def read_own(path: Path, options: OwnSets, split: str, spec: ImageSpec | None = None) -> OwnData:
    """The sets of a split.

    Args:
        spec: how images are read; None: as the options say.

    Raises:
        DataError: too few sets, columns that differ, a task without labels, or files that cannot
            be read, each by name.
    """
    found = find_sets(path, options)
    parts = divided(path, found)
    if split not in parts:
        raise DataError(f"{shown(path)} has no sets for {split}", where=shown(path))
    if found[0].folders:
        usual = ImageSpec(options.channels, options.size, options.size)
        return of_images(path, found, parts, spec or usual, split)
    return of_tables(path, found, parts, options, split)


def divided(path: Path, found: Sequence[FoundSet]) -> dict[str, list[FoundSet]]:
    """The sets of each split. Raises DataError where one would be empty."""
    if any(one.split for one in found):
        parts = {split: [one for one in found if one.split == split] for split in SPLITS}
    else:
        key = lambda one: hashlib.sha256(one.name.encode()).digest()  # noqa: E731
        order = sorted(found, key=key)
        count = len(order)
        test, val = max(1, round(0.2 * count)), max(1, round(0.16 * count))
        parts = {
            "train": order[: count - test - val],
            "val": order[count - test - val : count - test],
            "test": order[count - test :],
        }
    for split, sets in parts.items():
        if not sets:
            raise DataError(
                f"{shown(path)} has {len(found)} sets, none of them for {split}; wanted one or "
                "more to train on, to validate on and to test",
                code="sets.too_few_sets",
                where=shown(path),
                hint="add sets; one set by itself is for metacli adapt or metacli multitask",
            )
    return parts


def of_tables(
    path: Path,
    found: Sequence[FoundSet],
    parts: Mapping[str, Sequence[FoundSet]],
    options: OwnSets,
    split: str,
) -> OwnData:
    pieces = [piece for one in found for piece in one.pieces]
    kinds = kinds_of(pieces, options)
    learned = [piece for one in parts["train"] for piece in one.pieces]
    encoder, column = encoder_of(path, pieces, learned, options)
    kind: Literal["text", "numbers"] = "numbers" if column is None else "text"
    levels, labels = levels_of(learned, kinds), labels_of(found, kinds)
    sets, blocks, first = [], [], 0
    for one in parts[split]:
        tasks: list[OwnTask] = []
        for piece in one.pieces:
            if not (one.shared_rows and tasks):
                blocks.append(numbers_of(piece.table, encoder, column))
                first += len(blocks[-1])
            rows = np.arange(first - len(piece.table), first, dtype=np.int64)
            own = labels.get(id(piece), ())
            tasks.append(task_of(one, piece, kinds[piece.target], rows, levels, own))
        sets.append(OwnSet(one.name, tuple(tasks), one.shared_rows))
    shared = labels_are_shared(found, labels)
    contents = [json.dumps(encoder.as_dict(), default=str), repr(sorted(levels.items()))]
    return OwnData(
        shown(path.name),
        split,
        tuple(sets),
        np.concatenate(blocks).astype(np.float32),
        kind,
        encoder,
        shared,
        levels,
        digest_of(contents, sets, blocks),
    )


def kinds_of(pieces: Sequence[Piece], options: OwnSets) -> dict[str, str]:
    """classification or regression of each target column, one decision for all its tasks."""
    cells: dict[str, list[str | None]] = {}
    for piece in pieces:
        cells.setdefault(piece.target, []).extend(piece.table.words(piece.target))
    choice = options.choice()
    return {name: type_of_target(name, values, choice)[0] for name, values in cells.items()}


def encoder_of(
    path: Path, pieces: Sequence[Piece], learned: Sequence[Piece], options: OwnSets
) -> tuple[Encoder, str | None]:
    """What makes numbers of the rows, fitted to the training sets, and the column of texts; all
    tables have the same columns."""
    tables = {id(one.table): one.table for one in pieces}.values()
    targets = {one.target for one in pieces}
    whole = joined([without(table, targets) for table in tables])
    choice = replace(options.choice(), target=None)
    roles = assign(whole, choice, path.parent, needs_target=False)
    own = list({id(one.table): one.table for one in learned}.values())
    if roles.kind == "text":
        texts = tuple(text for table in own for text in table.texts(roles.inputs[0]))
        return text_encoder(options.encoder, options.features).fit(texts), roles.inputs[0]
    return fit_encoding(own, {one: roles.kinds[one] for one in roles.inputs}), None


def without(table: Table, columns: Collection[str]) -> Table:
    """A table without some columns."""
    kept = [one for one in table.columns if one not in columns]
    if not kept:
        raise DataError(
            f"{table.name} has no input column", code="table.no_input", where=table.name
        )
    return Table(table.name, table.frame.select(kept), table.first)


def numbers_of(table: Table, encoder: Encoder, column: str | None) -> np.ndarray:
    """float32 [M, F] of the rows of a table; `column` holds their texts."""
    return dense(encoded(table if column is None else tuple(table.texts(column)), encoder))


def levels_of(pieces: Sequence[Piece], kinds: Mapping[str, str]) -> dict[str, Level]:
    """Mean and standard deviation of each target that is a number, over the training sets."""
    found: dict[str, list[np.ndarray]] = {}
    for piece in pieces:
        if kinds[piece.target] == "regression":
            found.setdefault(piece.target, []).append(piece.table.numbers(piece.target))
    levels = {}
    for name, values in found.items():
        known = np.concatenate(values)
        known = known[~np.isnan(known)]
        if len(known):
            mean, scale = moments(known)
            levels[name] = (float(mean), float(scale) or 1.0)
    return levels


def task_of(
    one: FoundSet,
    piece: Piece,
    kind: str,
    rows: np.ndarray,
    levels: Mapping[str, Level],
    labels: tuple[str, ...],
) -> OwnTask:
    """One task. Raises DataError: no label at all, or only one class."""
    if kind == "regression":
        mean, scale = levels.get(piece.target, (0.0, 1.0))
        y = (piece.table.numbers(piece.target) - mean) / scale
        labels = ()
    else:
        place = {label: float(number) for number, label in enumerate(labels)}
        cells = piece.table.words(piece.target)
        y = np.array([np.nan if cell is None else place[cell] for cell in cells])
    require_labels(one, piece, y[: len(y) - piece.tested], labels)
    return OwnTask(piece.task, rows, y, labels, piece.tested)


def require_labels(one: FoundSet, piece: Piece, y: np.ndarray, labels: Sequence[str]) -> None:
    """Raises DataError: no labelled row among those of the support, or one class."""
    known = y[~np.isnan(y)]
    who = f"task {shown(piece.task)} of set {one.name}"
    if not len(known):
        raise DataError(
            f"{who} has no label{' in its support' if piece.tested else ''}",
            code="sets.no_label",
            where=piece.table.name,
            hint="leave the task out, or label some of its rows",
        )
    if labels and len(labels) < 2:
        raise DataError(
            f"{who} has one class, {shown(labels[0])}",
            code="data.one_class",
            where=piece.table.name,
            hint="a classification has two or more; leave the task out",
        )


def labels_of(sets: Sequence[FoundSet], kinds: Mapping[str, str]) -> dict[int, tuple[str, ...]]:
    """The labels of each classification by the id of its piece: its own words."""
    found = {}
    for piece in (piece for one in sets for piece in one.pieces):
        if kinds[piece.target] == "classification":
            words = {word for word in piece.table.words(piece.target) if word is not None}
            found[id(piece)] = names_of(words)
    return found


def labels_are_shared(found: Sequence[FoundSet], labels: Mapping[int, tuple[str, ...]]) -> bool:
    """Whether the tasks of each set have the same classes under one target column."""
    several = False
    for one in found:
        own = [(piece.target, labels.get(id(piece))) for piece in one.pieces]
        if len(set(own)) > 1 or any(classes is None for _, classes in own):
            return False
        several = several or len(own) > 1
    return several


def of_images(
    path: Path,
    found: Sequence[FoundSet],
    parts: Mapping[str, Sequence[FoundSet]],
    spec: ImageSpec,
    split: str,
) -> OwnData:
    """Class folders; those below `query` are the queries of their task."""
    sets, bad = [], []
    pixels: list[np.ndarray] = []
    for one in parts[split]:
        tasks = []
        for child in one.folders:
            listed = (*child.support, *(child.query or ()))
            first = len(pixels)
            for row in listed:
                try:
                    pixels.append(read_image(row.path, spec))
                except DataError as error:
                    bad.append(Finding("error", error.code, error.message, error.where, error.hint))
            y = np.array([child.labels.index(row.label or "") for row in listed], float)
            rows = np.arange(first, first + len(listed), dtype=np.int64)
            name = shown(child.path.name)
            tasks.append(OwnTask(name, rows, y, child.labels, len(child.query or ())))
        sets.append(OwnSet(one.name, tuple(tasks)))
    if bad:
        message = f"{len(bad)} images cannot be read, the first: {bad[0].message}"
        raise DataError(
            message, code="data.unreadable", where=bad[0].where, findings=tuple(bad[:20])
        )
    shared = all(len({child.labels for child in one.folders}) == 1 for one in found)
    several = any(len(one.folders) > 1 for one in found)
    store = np.stack(pixels)
    return OwnData(
        shown(path.name),
        split,
        tuple(sets),
        store,
        "image",
        None,
        shared and several,
        {},
        digest_of([repr(spec)], sets, [store]),
    )


def digest_of(facts: Sequence[str], sets: Sequence[OwnSet], blocks: Sequence[np.ndarray]) -> str:
    """SHA-256 hex of how rows are read, of every task's labels and of all numbers."""
    whole = hashlib.sha256(json.dumps(list(facts)).encode())
    for task in (task for one in sets for task in one.tasks):
        whole.update(json.dumps([task.name, list(task.labels), task.tested]).encode())
        whole.update(np.asarray(task.y, "<f8").tobytes())
    for block in blocks:
        whole.update(np.ascontiguousarray(block).tobytes())
    return whole.hexdigest()
