"""From the tables of a task to arrays: rows of numbers or texts, every problem collected."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from metacli.data.files import shown
from metacli.data.images import ImageSpec
from metacli.data.tables.choice import Choice, TaskType
from metacli.data.tables.coded import Encoder, dense, encoded
from metacli.data.tables.columns import quoted
from metacli.data.tables.encoding import Encoding
from metacli.data.tables.molecules import without_broken
from metacli.data.tables.reader import Table
from metacli.data.tables.targets import target_numbers, targets_of
from metacli.data.user.listing import Listing, TabularTask
from metacli.data.user.loading import Examples, Task, same_examples
from metacli.data.user.problems import UNREADABLE, as_finding, downgrade, raise_problems
from metacli.errors import DataError, Finding

UNLABELLED = {"table.no_label", "table.empty_text"}  # counted by row, in `TabularTask.unlabelled`


@dataclass(frozen=True)
class RowSpec:
    """The rows that a model wants.

    Args:
        encoder: makes numbers of a Table, or of texts.
        kind: of the listing: text or table.
        type: what the model answers with.
        inputs: its columns; None for texts, whose column may have any name.
        target: what its target is called; None where that is not known. input: its texts.
    """

    encoder: Encoder
    kind: Literal["text", "table"]
    type: TaskType
    inputs: tuple[str, ...] | None = None
    target: str | None = None
    input: str | None = None


def require_same_kind(listing: Listing, spec: ImageSpec | RowSpec, choice: Choice) -> None:
    """Raises DataError for images given to a model of texts, and so on."""
    wants = spec.kind if isinstance(spec, RowSpec) else "images"
    if listing.kind == wants:
        return
    words = {"images": "images", "text": "texts", "table": "a table of numbers and categories"}
    typed = " ".join(map(quoted, (str(listing.path), *choice.words())))
    hint = f"metacli adapt features {typed}"
    if listing.kind != "table":
        hint = f"metacli adapt {typed} tries what reads {words[listing.kind]}"
    elif wants == "text":
        hint = f"name the column of the texts: --input COLUMN; for the columns as they are: {hint}"
    raise DataError(
        f"{shown(listing.path)} holds {words[listing.kind]}, the model takes {words[wants]}",
        code="data.mismatch",
        where=shown(listing.path),
        hint=hint,
    )


def load_rows(listing: Listing, spec: RowSpec, *, skip_bad: bool, allow_duplicates: bool) -> Task:
    """The task as numbers; y is int64 labels, or float64 in the user's units.

    Raises:
        DataError: problems in the tables or between them.
    """
    found = list(downgrade(listing.findings) if skip_bad else listing.findings)
    left_out = sum(part.tables.unlabelled for part in listing.children or (listing,))
    left_out += sum(one.level == "warning" and one.code in UNREADABLE - UNLABELLED for one in found)
    seen: defaultdict[str, list[tuple[str, str, str]]] = defaultdict(list)
    sides: dict[str, list[Examples]] = {"support": [], "query": []}
    read: dict[str, list[Table]] = {"support": [], "query": []}
    for part in listing.children or (listing,):
        content = part.tables
        for side, table in (("support", content.support), ("query", content.query)):
            if table is None:
                continue
            try:
                table, remarks = with_molecules(table, spec)
                found += remarks
                sides[side].append(_examples(table, content, listing.labels, spec))
                read[side].append(table)
            except DataError as error:
                found.append(as_finding(error))
                continue
            remember(seen, side, table, content)
    clashes, repeats = clashing(seen, listing)
    if allow_duplicates:
        clashes = [replace(one, level="warning") for one in clashes]
    raise_problems(listing.path, [*found, *clashes])
    content = listing.tables
    units = [part.tables.unit for part in listing.children or (listing,)]
    return Task(
        path=listing.path,
        kind=listing.kind,
        type=content.type,
        labels=listing.labels,
        support=_together(sides["support"]),
        query=_together(sides["query"]) if sides["query"] else None,
        guessed=listing.guessed,
        findings=(*found, *clashes, *repeats),
        skipped=left_out,
        duplicates=len(clashes),
        unit=next((unit for unit in units if unit is not None), None),
        target=content.target,
        input=content.roles.inputs[0] if listing.kind == "text" else None,
        table=read["support"][0] if len(read["support"]) == 1 else None,
    )


def with_molecules(table: Table, spec: RowSpec) -> tuple[Table, tuple[Finding, ...]]:
    """Without the rows whose molecules cannot be read, and what is said of them."""
    molecules = spec.encoder.molecules if isinstance(spec.encoder, Encoding) else ()
    if not molecules or any(one not in table.columns for one in molecules):
        return table, ()  # the encoder names the columns that are not there
    return without_broken(table, molecules)


def _together(parts: Sequence[Examples]) -> Examples:
    """The rows of one side of all tables, one table after the other."""
    y = [part.y for part in parts if part.y is not None]
    names = tuple(name for part in parts for name in part.names)
    return Examples(np.concatenate([part.x for part in parts]), names, np.concatenate(y))


def _examples(table: Table, content: TabularTask, labels: Sequence[str], spec: RowSpec) -> Examples:
    x = numbers_of(table, content, spec)
    if content.type == "regression":
        y = target_numbers(table, content.target)
    else:
        number = {label: place for place, label in enumerate(labels)}
        cells = targets_of(table, content.target)
        y = np.array([number.get(cell, -1) for cell in cells], np.int64)
    return Examples(x, tuple(table.row(i) for i in range(len(table))), y)


def numbers_of(table: Table, content: TabularTask, spec: RowSpec) -> np.ndarray:
    """x float32 [M, F] of the rows of one side."""
    texts = tuple(table.texts(content.roles.inputs[0])) if spec.kind == "text" else None
    return dense(encoded(table if texts is None else texts, spec.encoder))


def remember(
    seen: defaultdict[str, list[tuple[str, str, str]]],
    side: str,
    table: Table,
    content: TabularTask,
) -> None:
    """Where every example stands, by its cells."""
    answers = table.words(content.target) if content.target in table.columns else [""] * len(table)
    if content.roles.kind == "text":
        keys = [text.strip() for text in table.texts(content.roles.inputs[0])]
    else:
        have = set(table.columns)
        keys = table.keys([one for one in content.roles.inputs if one in have])
    label = content.type == "classification"
    for number, (key, answer) in enumerate(zip(keys, answers, strict=True)):
        seen[key].append((side, (answer or "") if label else "", table.row(number)))


def clashing(
    seen: defaultdict[str, list[tuple[str, str, str]]], listing: Listing
) -> tuple[list[Finding], list[Finding]]:
    """Errors and warnings about examples that are the same.

    One rule for texts and for rows: what stands in support and query is an error, as the score
    would be of something known. Where examples repeat within the support, too, they are equal by
    chance, as rows of a few categories are, and it is only said. The same text under two labels is
    an error; rows with the same inputs may well have different targets.
    """
    of_text = listing.kind == "text"
    clashes, repeats = same_examples(seen, "text" if of_text else "row")
    across = [one for one in clashes if "support and query" in one.message]
    labels = [one for one in clashes if one not in across] if of_text else []
    said = list(repeats) if of_text else []
    if across and any(_twice_in_support(places) for places in seen.values()):
        rows = sum(len(places) for places in seen.values())
        message = (
            f"{len(across)} different examples stand in support and query alike (of {rows}), the "
            f"first: {across[0].message.partition(': ')[2]}"
        )
        code = "data.same_text" if of_text else "table.same_rows"
        return labels, [*said, Finding("warning", code, message, shown(listing.path))]
    return [*across, *labels], said


def _twice_in_support(places: list[tuple[str, str, str]]) -> bool:
    labels = [label for side, label, _ in places if side == "support"]
    return len(set(labels)) < len(labels)
