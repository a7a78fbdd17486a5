"""What the columns of a table are: the target, the inputs, and of which kind each is.

Nothing is guessed from a model: the same table means the same whoever reads it. What was decided by
looking is said in `guessed`, and `--target`, `--input` and `--type` decide otherwise.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from metacli.data.files import mode_of, shown
from metacli.data.images import IMAGE_SUFFIXES
from metacli.data.tables.choice import Choice, TaskType
from metacli.data.tables.reader import MISSING, Table
from metacli.errors import DataError, Finding, UsageProblem

TARGETS = ("label", "target", "class", "y")
CLASS_NAMES = ("label", "class")  # of integers that are classes however many there are
MANY_VALUES = 20  # distinct integers of a target that is still read as classes
IDENTIFIER_ROWS = 20  # rows that all have another word: names of the rows, not a category
NEARLY = 0.9  # of the cells are numbers: the others are mistakes, not categories

Kind = Literal["numeric", "categorical", "text", "images", "date", "constant", "identifier"]

WORDY = ("categorical", "identifier", "text")  # kinds of columns that may be texts

_DATE = re.compile(
    r"\d{4}[-/.]\d{1,2}[-/.]\d{1,2}([T ]\d{1,2}:\d{2}.*)?|\d{1,2}[-/.]\d{1,2}[-/.]\d{2,4}( .*)?"
    r"|\d{1,2}:\d{2}(:\d{2}(\.\d+)?)?"
)


@dataclass(frozen=True)
class Roles:
    """What each column of a table is for.

    Args:
        kind: of the whole: `table`, `text` or `images`.
        target: None where the table has none, and is to be predicted.
        inputs: columns to predict from, and `kinds` what each is.
    """

    kind: Literal["table", "text", "images"]
    target: str | None
    inputs: tuple[str, ...]
    kinds: dict[str, Kind]
    guessed: tuple[str, ...] = ()
    findings: tuple[Finding, ...] = ()


def assign(table: Table, choice: Choice, folder: Path, *, needs_target: bool = True) -> Roles:
    """Target and inputs of a table, by the choice and else by its names and cells.

    Args:
        folder: of the table's file, where paths of pictures begin.
        needs_target: False: a table without one is to be predicted.
    Raises:
        DataError: no target or several, no input, a column of dates, or no such column.
    """
    target, guessed = find_target(table, choice, needs_target)
    others = [one for one in table.columns if one not in (target, choice.task)]
    wanted = list(choice.inputs) if choice.inputs else others
    for one in wanted:
        table.require(one)
        if one == target:
            raise UsageProblem(f"column {one} is both --input and --target")
    if not wanted:
        raise DataError(f"{table.name} has no column beside {target}", code="table.no_input")
    kinds: dict[str, Kind] = {one: kind_of_column(table, one, folder) for one in wanted}
    pictures = [one for one, kind in kinds.items() if kind == "images"]
    wordy = WORDY if choice.whole != "text" else (*WORDY, "constant")  # one row is a text, too
    words = [one for one in wanted if kinds[one] in wordy and choice.whole != "table"]
    names = [one for one in (choice.usual_input, "text") if one in words]
    named_text = names[0] if not choice.inputs and names else None
    asked_text = wanted[0] if choice.inputs and len(wanted) == 1 and words else None
    whole: Literal["table", "text", "images"] = "table"
    chosen = pictures[:1]
    if pictures:
        whole = "images"
    elif text := named_text or asked_text:
        whole, chosen, kinds[text] = "text", [text], "text"
    if whole != "table":
        if not choice.inputs:
            guessed.append(f"{whole} = column {shown(chosen[0])}")
        kinds = {one: kinds[one] for one in chosen}
        unread = [one for one in wanted if one not in chosen]
        return Roles(whole, target, tuple(chosen), kinds, tuple(guessed), _not_used(table, unread))
    inputs, findings = usable(table, kinds, asked=bool(choice.inputs))
    if not choice.inputs:
        guessed.append(f"inputs = {_some(inputs)}")
    return Roles("table", target, inputs, kinds, tuple(guessed), findings)


def find_target(table: Table, choice: Choice, needed: bool) -> tuple[str | None, list[str]]:
    """The column to predict. Raises DataError listing the columns."""
    if choice.target is not None:
        return table.require(choice.target), []
    if choice.usual_target in table.columns:
        return choice.usual_target, []
    found = [one for one in table.columns if one in TARGETS]
    if len(found) == 1:
        return found[0], [f"target = column {found[0]}"]
    if not found and not needed:
        return None, []
    have = _some(table.columns)
    what = (
        f"columns {' and '.join(found)} may be the target" if found else "no column is the target"
    )
    raise DataError(
        f"{table.name}: {what}; the columns are {have}",
        code="table.no_target",
        where=table.name,
        hint="call it label, target, class or y; adapt also takes --target COLUMN",
    )


def kind_of_column(table: Table, name: str, folder: Path) -> Kind:
    """What the cells of a column are. Raises DataError: numbers with a few cells that are none."""
    import polars as pl

    cells = table.frame[name].str.strip_chars()
    cells = cells.filter(cells.is_not_null() & ~cells.is_in(MISSING))
    distinct = cells.n_unique()
    if distinct <= 1:
        return "constant"
    numbers = cells.cast(pl.Float64, strict=False)
    share = 1 - numbers.null_count() / len(cells)
    if share == 1 or (share >= NEARLY and len(cells) >= IDENTIFIER_ROWS):
        table.numbers(name)  # names the first cell that is not
        return "numeric"
    if all(_DATE.fullmatch(one) for one in cells):
        return "date"
    if all(Path(one).suffix.lower() in IMAGE_SUFFIXES for one in cells) and any(
        mode_of(folder / one) for one in cells
    ):
        return "images"
    if distinct == len(cells) >= IDENTIFIER_ROWS:
        return "identifier"
    return "categorical"


def usable(
    table: Table, kinds: dict[str, Kind], *, asked: bool
) -> tuple[tuple[str, ...], tuple[Finding, ...]]:
    """The columns that a model can take, and what is said of the others.

    Raises:
        DataError: dates, or nothing left.
    """
    dates = [one for one, kind in kinds.items() if kind == "date"]
    if dates:
        rest = ",".join(one for one in kinds if one not in dates)
        raise DataError(
            f"column {shown(dates[0])} of {table.name} holds dates, which are neither numbers nor "
            "categories",
            code="table.date",
            where=f"{table.name}, column {shown(dates[0])}",
            hint=f"turn it into numbers such as days, or leave it out: --input {shown(rest)}",
        )
    findings = []
    left_out = []
    same = [one for one, kind in kinds.items() if kind == "constant"]
    if same and not asked:
        message = f"columns of a single value, which tell nothing: {_some(same)}"
        findings.append(Finding("warning", "table.constant", message, table.name))
    for one, kind in kinds.items():
        if kind == "identifier" and not asked:
            left_out.append(one)
            message = (
                f"column {shown(one)} has another word in every row, and is left out: it would be "
                "learned by heart"
            )
            hint = f"--input {shown(one)} reads it as text"
            findings.append(Finding("warning", "table.identifier", message, table.name, hint))
    inputs = tuple(one for one in kinds if one not in left_out)
    if not inputs:
        raise DataError(f"{table.name} has no column to predict from", code="table.no_input")
    return inputs, tuple(findings)


def type_of_target(name: str, cells: Sequence[str | None], choice: Choice) -> tuple[TaskType, str]:
    """Classification or regression, and why in words; for a set of tasks of all their cells."""
    if choice.type is not None:
        return choice.type, ""
    numbers = [_number(cell) for cell in cells if cell is not None]
    if any(one is None for one in numbers):
        return "classification", f"classification: {shown(name)} is text"
    values = np.array(numbers, float)
    if len(values) and not bool((values == np.round(values)).all()):
        return "regression", f"regression: {shown(name)} is not whole numbers"
    distinct = len(np.unique(values))
    if distinct > MANY_VALUES and name not in CLASS_NAMES:
        return "regression", f"regression: {shown(name)} has {distinct} different whole numbers"
    return "classification", f"classification: {shown(name)} has {distinct} values"


def _number(cell: str) -> float | None:
    try:
        return float(cell)
    except ValueError:
        return None


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


def leaks(table: Table, target: str, inputs: Sequence[str], type: TaskType) -> list[Finding]:
    """Inputs that tell the target outright: the same numbers, or one word for each label."""
    answer = targets_of(table, target)
    found = []
    for one in inputs:
        cells = table.words(one)
        if _tells(cells, answer, type):
            message = f"column {shown(one)} tells {shown(target)} outright: is it known beforehand?"
            hint = f"leave it out with --input if it is made from {shown(target)}"
            found.append(Finding("warning", "table.leak", message, table.name, hint))
    return found


def _tells(cells: Sequence[str | None], answer: Sequence[str], type: TaskType) -> bool:
    if type == "regression":
        pairs = [(_number(a or ""), _number(b)) for a, b in zip(cells, answer, strict=True)]
        known = np.array([(a, b) for a, b in pairs if a is not None and b is not None], float)
        if len(known) < 5 or len(known) < len(answer) or min(known.std(0)) == 0:
            return False
        return bool(abs(np.corrcoef(known.T)[0, 1]) > 0.99999)
    values, labels = len(set(cells)), len(set(answer))
    pairs_seen = len(set(zip(cells, answer, strict=True)))
    return 1 < labels <= values == pairs_seen and values <= len(answer) // 2


def _not_used(table: Table, names: Sequence[str]) -> tuple[Finding, ...]:
    if not names:
        return ()
    message = f"columns not used: {_some(names)}"
    return (Finding("note", "table.not_used", message, table.name),)


def _some(names: Sequence[Any]) -> str:
    more = f" and {len(names) - 12} more" if len(names) > 12 else ""
    return ", ".join(shown(one) for one in names[:12]) + more


def target_numbers(table: Table, target: str) -> np.ndarray:
    """The target's numbers. Raises DataError for a row without one."""
    values = table.numbers(target)
    gone = np.flatnonzero(np.isnan(values))
    if len(gone):
        raise table.cell_error(
            "is empty, and it is the target", int(gone[0]), target, "table.no_label"
        )
    return values
