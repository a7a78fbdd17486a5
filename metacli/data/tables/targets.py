"""The target of a table: classification or regression, and its cells as labels or numbers."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from metacli.data.files import shown
from metacli.data.tables.choice import Choice, TaskType
from metacli.data.tables.reader import Table
from metacli.errors import Finding

CLASS_NAMES = ("label", "class")  # of integers that are classes however many there are
MANY_VALUES = 20  # distinct integers of a target that is still read as classes
SKIPS = "fill it in, or remove the row; adapt and evaluate go on without it with --skip-bad"
APART = 10  # numbers for each that occurs, from which most that occur once are a quantity


def type_of_target(name: str, cells: Sequence[str | None], choice: Choice) -> tuple[TaskType, str]:
    """Classification or regression, and why in words; for a set of tasks of all their cells."""
    if choice.type is not None:
        return choice.type, ""
    numbers = [as_number(cell) for cell in cells if cell is not None]
    if any(one is None for one in numbers):
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


def as_number(cell: str) -> float | None:
    try:
        return float(cell)
    except ValueError:
        return None


def labelled(table: Table, name: str) -> tuple[Table, tuple[Finding, ...]]:
    """The rows whose target is there, and a finding about the others.

    Raises:
        DataError: no row has a target.
    """
    cells = table.words(name)
    empty = [number for number, cell in enumerate(cells) if cell is None]
    if not empty:
        return table, ()
    if len(empty) == len(cells):
        raise table.column_error(name, "has no label at all", "table.no_label")
    error = table.cell_error(
        "is empty, and it is the target", empty[0], name, "table.no_label", SKIPS
    )
    more = f"; so are {len(empty) - 1} of the other rows" if len(empty) > 1 else ""
    kept = table.rows([number for number, cell in enumerate(cells) if cell is not None])
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
