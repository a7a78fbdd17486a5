"""What the columns of a table are: the target, the inputs, and of which kind each is.

Nothing is guessed from a model: the same table means the same whoever reads it. What was decided by
looking is said in `guessed`, and `--target`, `--input` and `--type` decide otherwise.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from metacli.data.files import shown
from metacli.data.tables.choice import Choice
from metacli.data.tables.dates import WORDS as DATE_WORDS
from metacli.data.tables.dates import order_of
from metacli.data.tables.kinds import Kind, is_id_name, kinds_of_columns
from metacli.data.tables.levels import surely_plain, wild_cells
from metacli.data.tables.molecules import how_read
from metacli.data.tables.reader import Table
from metacli.data.tables.strays import as_number, look_like_numbers
from metacli.errors import DataError, Finding, UsageProblem, first_names

TARGETS = ("label", "target", "class", "y")

WORDY = ("categorical", "identifier", "text")  # kinds of columns that may be texts
LEFT_OUT = ("identifier", "text")  # unless they are asked for

Whole = Literal["table", "text", "images"]


@dataclass(frozen=True)
class Roles:
    """What each column of a table is for.

    Args:
        kind: of the whole: `table`, `text` or `images`.
        target: None where the table has none, and is to be predicted.
        inputs: columns to predict from, and `kinds` what each is.
    """

    kind: Whole
    target: str | None
    inputs: tuple[str, ...]
    kinds: dict[str, Kind]
    guessed: tuple[str, ...] = ()
    findings: tuple[Finding, ...] = ()


def assign(table: Table, choice: Choice, folder: Path, *, needs_target: bool = True) -> Roles:
    """Target and inputs of a table, by the choice and else by its names and cells.

    Args:
        folder: of the table's file, where paths of images begin.
        needs_target: False: a table without one is to be predicted.
    Raises:
        DataError: no target or several, no input, or no such column.
        UsageProblem: one column as input and target.
    """
    target, guessed = find_target(table, choice, needs_target)
    others = [one for one in table.columns if one not in (target, choice.task)]
    wanted = list(choice.inputs or choice.usual_inputs or others)
    for one in wanted:
        table.require(one)
        if one == target:
            raise UsageProblem(f"column {one} is both --input and --target")
    if not wanted:
        raise DataError(f"{table.name} has no column beside {target}", code="table.no_input")
    kinds = kinds_of_columns(table, wanted, folder)
    images = [one for one, kind in kinds.items() if kind == "images"]
    whole: Whole = "images" if images else "text"
    if (only := images[0] if images else text_column(table, kinds, choice)) is not None:
        named = [] if choice.inputs else [f"{whole} = column {shown(only)}"]
        unread = _not_used(table, [one for one in wanted if one != only])
        of_it: dict[str, Kind] = {only: "images" if images else "text"}
        return Roles(whole, target, (only,), of_it, (*guessed, *named), unread)
    asked = bool(choice.inputs or choice.usual_inputs)
    inputs, notes, findings = usable(table, kinds, asked=asked)
    if not choice.inputs:
        guessed.append(f"inputs = {some(inputs)}")
        rest = [one for one in others if one not in wanted]
        notes += (f"not read: {some(rest)}",) if rest else ()
    return Roles("table", target, inputs, kinds, (*guessed, *notes), findings)


def text_column(table: Table, kinds: Mapping[str, Kind], choice: Choice) -> str | None:
    """The column whose texts are all that is read; None where the columns are read as a table.

    It is the one that is called text (or as the model's texts were), the only one that was named,
    or the only one that holds texts where nothing else can be learned from or a model of texts
    asks.
    """
    if choice.whole == "table":
        return None
    wordy = WORDY if choice.whole != "text" else (*WORDY, "constant")  # one row is a text, too
    words = [one for one, kind in kinds.items() if kind in wordy]
    if choice.inputs:
        return words[0] if words and len(kinds) == 1 else None
    named = [one for one in (choice.usual_input, "text") if one in words]
    if named:
        return named[0]
    texts = [one for one in words if kinds[one] == "text" or names_rows_in_words(table, one, kinds)]
    others = [one for one, kind in kinds.items() if kind not in (*WORDY, "identifier", "constant")]
    others += [one for one in words if kinds[one] == "categorical"]
    return texts[0] if len(texts) == 1 and (not others or choice.whole == "text") else None


def names_rows_in_words(table: Table, name: str, kinds: Mapping[str, Kind]) -> bool:
    """Whether a column has other words in every row that may be short texts: not called an id, and
    not single words throughout."""
    if kinds[name] != "identifier" or is_id_name(name):
        return False
    cells = [cell for cell in table.words(name) if cell is not None]
    return any(" " in cell for cell in cells) and not look_like_numbers(cells)


def find_target(table: Table, choice: Choice, needed: bool) -> tuple[str | None, list[str]]:
    """The column to predict. Raises DataError listing the columns."""
    if choice.target is not None:
        return table.require(choice.target), []
    if choice.usual_target in table.columns:
        return choice.usual_target, []
    found = [one for one in table.columns if one.strip().lower() in TARGETS]
    if len(found) == 1:
        return found[0], [f"target = column {shown(found[0])}"]
    if not found and not needed:
        return None, []
    what = (
        f"columns {' and '.join(map(shown, found))} may be the target"
        if found
        else "no column is the target"
    )
    likely = found[0] if found else table.columns[-1]
    hint = f"--target {quoted(likely)}, if that is what is to be predicted; or call the column "
    hint += "label, target, class or y"
    if not found and is_value(likely):
        hint = "the first line looks like a row of values: put a line with column names before it; "
        hint += f"or --target {quoted(likely)}, if that is a name"
    raise DataError(
        f"{table.name}: {what}; the columns are {some(table.columns)}",
        code="table.no_target",
        where=table.name,
        hint=hint,
    )


def is_value(name: str) -> bool:
    """Whether the name of a column is a number with a decimal point, as names seldom are."""
    return re.fullmatch(r"[-+]?\d*[.,]\d+", name.strip()) is not None


def quoted(name: str) -> str:
    """As a shell takes it for one word."""
    return shlex.quote(shown(name))


def usable(
    table: Table, kinds: dict[str, Kind], *, asked: bool
) -> tuple[tuple[str, ...], tuple[str, ...], tuple[Finding, ...]]:
    """The columns that a model can take, the guesses about them, and findings about the others.

    Args:
        kinds: of the columns; an identifier that was asked for becomes numeric or categorical.
    Raises:
        DataError: free text among columns that were asked for, or nothing left.
    """
    guessed, findings = [], []
    same = [one for one, kind in kinds.items() if kind == "constant" and not has_gaps(table, one)]
    if same and not asked:
        message = f"columns of a single value, which tell nothing: {some(same)}"
        findings.append(Finding("warning", "table.constant", message, table.name))
    left_out = []
    numeric = [one for one, kind in kinds.items() if kind == "numeric"]
    tame = surely_tame(table, numeric)
    for one, kind in kinds.items():
        if kind == "date":
            guessed.append(f"column {shown(one)} = dates, {order_in_words(table, one)}")
        elif kind in LEFT_OUT and not asked:
            left_out.append(one)
            findings.append(_left_out(table, one, kind))
        elif kind == "identifier":
            kinds[one] = "numeric" if is_numbers(table, one) else "categorical"
        elif kind == "text":
            what = "holds free text, which is read by itself"
            hint = f"--input {shown(one)}, or leave it out"
            raise table.column_error(one, what, "table.text_among_columns", hint)
        elif kind == "numeric" and one not in tame:
            findings += _wild(table, one)
        elif kind == "categorical" and in_words(table, one):
            findings.append(_number_words(table, one, "is read as words"))
    guessed += how_read([one for one, kind in kinds.items() if kind == "molecules"])
    if left_out:
        guessed.append(f"left out: {some(left_out)}")
    inputs = tuple(one for one in kinds if one not in left_out)
    if not inputs:
        raise DataError(
            f"{table.name} has no column to predict from; left out: {some(left_out)}",
            code="table.no_input",
            where=table.name,
            hint=_way_in(table, left_out[0]) if left_out else None,
        )
    return inputs, tuple(guessed), tuple(findings)


def _way_in(table: Table, name: str) -> str:
    if in_words(table, name) and not is_id_name(name):
        return f"its cells, such as {odd_cell(table, name)!r}, are no plain numbers, such as 1234.5"
    return f"--input {shown(name)} reads it all the same"


def _left_out(table: Table, name: str, kind: Kind) -> Finding:
    if kind == "text":
        message = f"column {shown(name)} holds free text, and is left out beside other columns"
        hint = f"--input {shown(name)} reads it instead of them"
        return Finding("warning", "table.text_left_out", message, table.name, hint)
    if is_numbers(table, name):
        message = f"column {shown(name)} numbers the rows or what they are of, and is left out"
        hint = f"--input names the columns to read, {shown(name)} among them if it is a quantity"
    elif in_words(table, name) and not is_id_name(name):
        return _number_words(table, name, "is left out")
    else:
        cells = [cell for cell in table.words(name) if cell is not None]
        where = "in every row" if len(set(cells)) == len(cells) else "in most rows"
        message = (
            f"column {shown(name)} has another word {where}, and is left out: it would be "
            "learned by heart"
        )
        hint = f"--input {shown(name)} reads it as text"
    return Finding("warning", "table.identifier", message, table.name, hint)


def _number_words(table: Table, name: str, what: str) -> Finding:
    message = (
        f"column {shown(name)} {what}: its cells, such as {odd_cell(table, name)!r}, begin with "
        "numbers and are no plain ones"
    )
    hint = "for a quantity write plain numbers, such as 1234.5"
    return Finding("warning", "table.numbers_in_words", message, table.name, hint)


def odd_cell(table: Table, name: str) -> str:
    """The first cell that is no number."""
    cells = (cell for cell in table.words(name) if cell is not None)
    return shown(next(cell for cell in cells if as_number(cell) is None)[:40])


def in_words(table: Table, name: str) -> bool:
    """Whether the cells look like quantities in a spelling that is not known."""
    return look_like_numbers([cell for cell in table.words(name) if cell is not None])


def has_gaps(table: Table, name: str) -> bool:
    """Whether some cells are missing, but not all: that a cell is there says something, then."""
    cells = table.words(name)
    return None in cells and any(cell is not None for cell in cells)


def surely_tame(table: Table, names: Sequence[str]) -> frozenset[str]:
    """Those of some columns of numbers that have no cell far from all others, as far as is seen at
    once; () of a table that is not wide."""
    if not table.is_wide or not names:
        return frozenset()
    values = np.stack([table.parsed(one)[0] for one in names])  # nan, where missing, is not tame
    return frozenset(one for one, tame in zip(names, surely_plain(values), strict=True) if tame)


def _wild(table: Table, name: str) -> list[Finding]:
    """A warning about cells far from all others."""
    values = table.numbers(name)
    rows = wild_cells(values)
    if not rows:
        return []
    usual = np.delete(values, rows)
    usual = usual[~np.isnan(usual)]
    more = f", and {len(rows) - 1} more cells are as far off" if len(rows) > 1 else ""
    message = (
        f"row {table.number_of(rows[0])}, column {shown(name)} of {table.name} is "
        f"{values[rows[0]]:g}, the others are {usual.min():g} to {usual.max():g}{more}: it is cut "
        "to their range"
    )
    where = f"{table.row(rows[0])}, column {shown(name)}"
    return [Finding("warning", "table.wild_cell", message, where, "is it a mistake?")]


def order_in_words(table: Table, name: str) -> str:
    order = order_of(table.words(name))
    if order is None:
        bad = next(n for n, c in enumerate(table.words(name)) if c and order_of([c]) is None)
        what = f"is {shown((table.words(name)[bad] or '')[:40])!r}, not a date"
        raise table.cell_error(what, bad, name, "table.not_a_date", "put it right, or empty it")
    return DATE_WORDS[order]


def is_numbers(table: Table, name: str) -> bool:
    """Whether every cell that is not missing is a number."""
    return all(as_number(cell) is not None for cell in table.words(name) if cell is not None)


def _not_used(table: Table, names: Sequence[str]) -> tuple[Finding, ...]:
    if not names:
        return ()
    message = f"columns not used: {some(names)}"
    return (Finding("note", "table.not_used", message, table.name),)


def some(names: Sequence[str]) -> str:
    return first_names([shown(one) for one in names], 12)
