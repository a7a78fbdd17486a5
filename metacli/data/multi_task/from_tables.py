"""Tables of cells as sets of tasks: several targets of the same rows, or rows of several tasks.

Inputs are encoded with the categories and statistics of training rows, so the rows are divided
first. Targets are encoded before that: their words are the tasks' classes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from metacli.data.files import shown
from metacli.data.multi_task.dataset import MultiTaskData
from metacli.data.multi_task.read_as import Columns
from metacli.data.multi_task.splits import divide_rows
from metacli.data.tables.choice import Choice, TaskType
from metacli.data.tables.columns import assign
from metacli.data.tables.encoding import Encoding, Numeric
from metacli.data.tables.fitting import fit_encoding
from metacli.data.tables.kinds import Kind
from metacli.data.tables.molecules import broken_rows, is_molecules, without_broken
from metacli.data.tables.reader import Table
from metacli.data.tables.targets import type_of_target
from metacli.errors import DataError, Finding

RARE = 0.2  # share of the rarer class below which accuracy says nothing


@dataclass(frozen=True)
class Piece:
    """One task: a table, and which of its columns is the target.

    Args:
        tested: how many of its rows, the last ones, are test; 0: they are drawn.
    """

    task: str
    table: Table
    target: str
    tested: int = 0


@dataclass(frozen=True)
class Answers:
    """The targets of one task: y [n], NaN where missing, and the names of its labels."""

    y: np.ndarray
    kind: TaskType
    labels: tuple[str, ...]


def table_set(
    name: str,
    pieces: Sequence[Piece],
    choice: Choice,
    contents: str,
    seed: int,
    *,
    folder: Path,
) -> tuple[MultiTaskData, tuple[Finding, ...]]:
    """The set of tasks, and what is said of its columns.

    Args:
        pieces: where all have the same table, their rows are shared.
        choice: inputs, type, and the column that names the task.
        contents: digest of what was read. seed: of the split.
        folder: where the table lies.
    Raises:
        DataError: no inputs, a target that cannot be read, too few rows.
    """
    pieces, remarks = readable(pieces, choice)
    shared = len(pieces) > 1 and all(one.table is pieces[0].table for one in pieces)
    targets = tuple(dict.fromkeys(one.target for one in pieces))
    answers = read_targets(pieces, choice)
    kinds: tuple[TaskType, ...] = tuple(one.kind for one in answers)
    tested = tuple(one.tested for one in pieces)
    blank = np.zeros((0, 0))
    made = MultiTaskData(
        name=name,
        tasks=tuple(one.task for one in pieces),
        x=tuple(blank for _ in pieces),
        y=tuple(one.y for one in answers),
        kinds=kinds,
        metric=metric_of(answers, shared=shared),
        contents=hashlib.sha256(f"{contents} {targets} {choice}".encode()).hexdigest(),
        scale="task" if shared else "pooled",
        rows="shared" if shared else "own",
        split="last" if any(tested) else "random",
        test_rows=tested,
        classes=tuple(one.labels for one in answers),
        raw=tuple(one.table for one in pieces),
    )
    parts = divide_rows(made, seed)
    learned = [one.table.rows(rows) for one, rows in zip(pieces, parts["train"], strict=True)]
    if shared:
        learned = learned[:1]
    whole = pieces[0].table if shared else joined([one.table for one in pieces])
    inputs, roles, findings = input_columns(whole, targets, choice, folder)
    encoding = fit_encoding(learned, {one: roles[one] for one in inputs})
    tables = [pieces[0].table] if shared else [one.table for one in pieces]
    kept = np.float32 if encoding.wide else np.float64  # thousands of bits a row
    x = [encoding.encode(one).astype(kept) for one in tables]
    columns = Columns(inputs, encoding, choice.task, tuple(one.target for one in pieces))
    every = tuple(x) * (len(pieces) if shared else 1)
    levels = (0.0, 1.0) if encoding.wide else None
    titles = encoded_names(encoding)
    said = (*remarks, *findings)
    made = replace(made, x=every, columns=titles, read=columns, levels=levels, findings=said)
    return made, said


def readable(
    pieces: Sequence[Piece], choice: Choice
) -> tuple[Sequence[Piece], tuple[Finding, ...]]:
    """The pieces without the rows whose molecules cannot be read, and what is said of those."""
    others = {*(one.target for one in pieces), choice.task}
    found: dict[int, tuple[Table, tuple[Finding, ...]]] = {}
    kept = []
    for one in pieces:
        named = choice.inputs or one.table.columns
        names = [each for each in named if is_molecules(each) and each not in others]
        if id(one.table) not in found:
            found[id(one.table)] = without_broken(one.table, names)
        first = len(one.table) - one.tested
        gone = sum(row >= first for row, _ in broken_rows(one.table, names))
        kept.append(replace(one, table=found[id(one.table)][0], tested=one.tested - gone))
    return kept, tuple(remark for _, remarks in found.values() for remark in remarks)


def input_columns(
    table: Table, targets: Sequence[str], choice: Choice, folder: Path
) -> tuple[tuple[str, ...], dict[str, Kind], tuple[Finding, ...]]:
    """The columns to predict from and the kind of each; no target is among them."""
    other = [one for one in targets[1:] if one in table.columns]
    asked = Table(table.name, table.frame.drop(other), table.first, table.guessed)
    roles = assign(asked, replace(choice, target=targets[0]), folder)
    return roles.inputs, dict(roles.kinds), roles.findings


def joined(tables: Sequence[Table]) -> Table:
    """All rows of tables with the same columns: what is constant in one may tell the tasks apart.

    Raises:
        DataError: other columns than the first has.
    """
    import polars as pl

    first = tables[0]
    for one in tables[1:]:
        if gone := sorted(set(first.columns) - set(one.columns)):
            raise DataError(
                f"{one.name} lacks {', '.join(map(shown, gone[:5]))}, which {first.name} has",
                code="table.columns_differ",
                where=one.name,
                hint="tasks that are learned together have the same columns",
            )
    frames = [one.frame.select(first.columns) for one in tables]
    return Table(first.name, pl.concat(frames), first.first)


def read_targets(pieces: Sequence[Piece], choice: Choice) -> list[Answers]:
    """One decision for all pieces with the same target: its type, and the names of its labels."""
    cells = [one.table.words(one.target) for one in pieces]
    every: dict[str, list[str | None]] = {}
    for piece, mine in zip(pieces, cells, strict=True):
        every.setdefault(piece.target, []).extend(mine)
    found: list[Answers] = []
    labels: dict[str, tuple[str, ...]] = {}
    kinds: dict[str, TaskType] = {}
    for name, values in every.items():
        kinds[name] = type_of_target(name, values, choice)[0]
        labels[name] = names_of({value for value in values if value is not None})
        if kinds[name] == "classification" and len(labels[name]) < 2:
            raise one_value(name, labels[name], pieces)
    for piece, mine in zip(pieces, cells, strict=True):
        if kinds[piece.target] == "regression":
            found.append(Answers(piece.table.numbers(piece.target), "regression", ()))
            continue
        place = {label: float(number) for number, label in enumerate(labels[piece.target])}
        y = np.array([np.nan if cell is None else place[cell] for cell in mine])
        found.append(Answers(y, "classification", labels[piece.target]))
    return found


def one_value(target: str, labels: Sequence[str], pieces: Sequence[Piece]) -> DataError:
    """Nothing can be learned of a target that never differs."""
    found = f"has one value, {shown(labels[0])}" if labels else "is empty in every row"
    table = next(one.table for one in pieces if one.target == target)
    return DataError(
        f"target {shown(target)} {found}; wanted two different values or more",
        code="data.one_class",
        where=shown(table.name),
        hint="leave this target out, or name another column with --target",
    )


def names_of(labels: set[str]) -> tuple[str, ...]:
    """Labels in order: numbers by size, words by their letters."""
    try:
        return tuple(sorted(labels, key=float))
    except ValueError:
        return tuple(sorted(labels))


def metric_of(answers: Sequence[Answers], *, shared: bool) -> str:
    """By which the whole set is judged."""
    kinds = {one.kind for one in answers}
    if len(kinds) > 1:
        return "mean_score"
    if kinds == {"regression"}:
        return "nmse" if shared else "explained_variance"
    if {len(one.labels) for one in answers} == {2}:
        known = np.concatenate([one.y[~np.isnan(one.y)] for one in answers])
        if min(known.mean(), 1 - known.mean()) < RARE:
            return "auc"
    return "accuracy"


def plain_columns(table: MultiTaskData) -> Columns:
    """Of a set that is no table of cells: its numbers as they are, under the names that they have,
    or x1, x2, ...; and a column `task` where each task has rows of its own."""
    names = table.columns or tuple(f"x{number}" for number in range(1, table.num_columns + 1))
    encoding = Encoding(tuple(Numeric(name, 0.0, 1.0, missing=False) for name in names))
    return Columns(names, encoding, None if table.rows == "shared" else "task", table.tasks)


def encoded_names(encoding: Encoding) -> tuple[str, ...]:
    """A name for every column of x."""
    return encoding.titles
