"""The target of a table: classification or regression, and its cells as labels or numbers."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from metacli.data.files import shown
from metacli.data.tables.choice import Choice, TaskType
from metacli.data.tables.reader import Table
from metacli.data.tables.strays import MANY_VALUES, as_number, stray_cell
from metacli.errors import DataError, Finding

CLASS_NAMES = ("label", "class")  # of integers that are classes however many there are
SKIPS = "fill it in, or remove the row; adapt and evaluate go on without it with --skip-bad"
APART = 10  # numbers for each that occurs, from which most that occur once are a quantity


def type_of_target(
    name: str, cells: Sequence[str | None], choice: Choice, where: str = ""
) -> tuple[TaskType, str]:
    """Classification or regression, and why in words; for a set of tasks of all their cells.

    Args:
        where: what has the cells, for an error.
    Raises:
        DataError: numbers to predict, with a few cells that are none.
    """
    if choice.type is not None:
        return choice.type, ""
    known = [cell for cell in cells if cell is not None]
    numbers = [as_number(cell) for cell in known]
    if any(one is None for one in numbers):
        _require_words(name, known, where)
        return "classification", f"classification: {shown(name)} is text"
    values = np.array(numbers, float)
    if len(values) and not bool((values == np.round(values)).all()):
        return "regression", f"regression: {shown(name)} is not whole numbers"
    distinct = len(np.unique(values))
    if distinct > MANY_VALUES and name not in CLASS_NAMES:
        return "regression", f"regression: {shown(name)} has {distinct} different whole numbers"
    if name not in CLASS_NAMES and is_quantity(values):
        low, high = values.min(), values.max()
        return "regression", f"regression: {shown(name)} is {low:g} to {high:g}, most values once"
    return "classification", f"classification: {shown(name)} has {distinct} values"


def _require_words(name: str, cells: Sequence[str], where: str) -> None:
    """Raises DataError for what would be read as a class for nearly every number."""
    if (stray := stray_cell(cells)) is None:
        return
    rows = sum(as_number(cell) is None for cell in cells)
    raise DataError(
        (f"{where}: " if where else "")
        + f"the target {shown(name)} is no number in {rows} of {len(cells)} rows, the first "
        f"{shown(stray[:40])!r}, and a number in the others",
        code="table.not_a_number",
        where=f"{where}, column {shown(name)}".removeprefix(", "),
        hint="put it right, or empty the cell if it is missing; --type classification, if the "
        "numbers are names of classes",
    )


def is_quantity(values: np.ndarray) -> bool:
    """Whether whole numbers are prices rather than the codes of classes, in a few rows: codes are
    next to each other, or come more than once."""
    distinct = len(np.unique(values))
    if distinct < 3 or 2 * distinct <= len(values):
        return False
    return bool(np.ptp(values) >= APART * distinct)


def many_classes(table: Table, target: str, cells: Sequence[str], choice: Choice) -> list[Finding]:
    """A warning about whole numbers that are read as classes, most of them seen once."""
    distinct = len(set(cells))
    if choice.type is not None or 2 * distinct <= len(cells) or distinct < 3:
        return []
    if any(as_number(cell) is None for cell in cells):
        return []
    message = (
        f"{shown(target)} has {distinct} different whole numbers in {len(cells)} rows, which are "
        "read as classes"
    )
    hint = "--type regression, if they are a quantity"
    return [Finding("warning", "table.many_classes", message, table.name, hint)]


def labels_alike(table: Table, target: str, cells: Sequence[str]) -> list[Finding]:
    """A warning about labels that differ in capitals or blanks alone. Single letters are not meant:
    a and A are classes of handwriting."""
    spellings: dict[str, set[str]] = {}
    for cell in set(cells):
        spellings.setdefault(" ".join(cell.casefold().split()), set()).add(cell)
    alike = [sorted(of) for key, of in sorted(spellings.items()) if len(of) > 1 and len(key) > 1]
    if not alike:
        return []
    pairs = "; ".join(" and ".join(repr(shown(one)) for one in of) for of in alike[:3])
    more = f"; and {len(alike) - 3} more like these" if len(alike) > 3 else ""
    message = f"{shown(target)} has labels that differ in capitals or blanks alone: {pairs}{more}"
    hint = "write them alike, if they are one class"
    return [Finding("warning", "table.labels_alike", message, table.name, hint)]


def labelled(table: Table, name: str) -> tuple[Table, tuple[Finding, ...]]:
    """The rows whose target is there, and a finding about the others.

    Raises:
        DataError: no row has a target.
    """
    cells = table.words(name)
    empty = [number for number, cell in enumerate(cells) if cell is None]
    if empty and len(empty) == len(cells):
        raise table.column_error(name, "has no label at all", "table.no_label")
    what = "is empty, and it is the target"
    if empty and (word := (table.frame[name][empty[0]] or "").strip()):
        what = f"is {word!r}, which stands for a missing cell, and it is the target"
    return _without(table, name, empty, what, "table.no_label")


def with_text(table: Table, name: str) -> tuple[Table, tuple[Finding, ...]]:
    """The rows whose text is there, and a finding about the others.

    Raises:
        DataError: no row has a text.
    """
    cells: list[str | None] = table.frame[table.require(name)].to_list()
    empty = [number for number, cell in enumerate(cells) if cell is None or not cell.strip()]
    if len(empty) == len(cells):
        raise table.column_error(name, "has no text at all", "table.empty_text")
    return _without(table, name, empty, "is empty, and it is the text", "table.empty_text")


def _without(
    table: Table, name: str, empty: Sequence[int], what: str, code: str
) -> tuple[Table, tuple[Finding, ...]]:
    if not empty:
        return table, ()
    error = table.cell_error(what, empty[0], name, code, SKIPS)
    rest = len(empty) - 1
    more = f"; so are {rest} of the other rows" if rest > 1 else "; so is one other row" * rest
    gone = set(empty)
    kept = table.rows([number for number in range(len(table)) if number not in gone])
    found = Finding("error", error.code, f"{error.message}{more}", error.where, error.hint)
    return kept, (found,)


def targets_of(table: Table, name: str) -> list[str]:
    """The cells of the target. Raises DataError for a row without one."""
    cells = table.words(name)
    for number, cell in enumerate(cells):
        if cell is None:
            raise table.cell_error(
                "is empty, and it is the target",
                number,
                name,
                "table.no_label",
                "fill it in, or remove the row",
            )
    return [cell or "" for cell in cells]


def target_numbers(table: Table, target: str) -> np.ndarray:
    """The target's numbers. Raises DataError for a row without one."""
    values = table.numbers(target)
    gone = np.flatnonzero(np.isnan(values))
    if len(gone):
        raise table.cell_error(
            "is empty, and it is the target", int(gone[0]), target, "table.no_label"
        )
    return values
