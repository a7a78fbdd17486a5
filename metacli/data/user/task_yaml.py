"""`task.yaml`: what a task is, stated by the user instead of guessed.

support: spring.csv        # a table, or a folder of class folders; left out: what is beside it
query: autumn.csv
target: price
input: [size, rooms]       # or one name
type: regression
unit: EUR
task: city                 # a column: a set of tasks, one for each of its values
"""

from __future__ import annotations

import difflib
from dataclasses import replace
from pathlib import Path

from metacli.data.files import Entries, mode_of, read_regular, resolved, scan, shown, way_out
from metacli.data.plain import Plain
from metacli.data.tables.choice import TYPES, Choice, choice_of
from metacli.data.user.listing import Listing, Survey, kind_of, list_class_folders, split_problems
from metacli.data.user.table_layouts import list_table
from metacli.errors import DataError, RecipeError
from metacli.schema.yaml import read as read_yaml

NAME = "task.yaml"
KEYS = ("support", "query", "target", "input", "type", "unit", "task")


def list_task_file(path: Path, entries: Entries | None, survey: Survey, choice: Choice) -> Listing:
    """The task that the file in this folder describes; options of the command line win.

    Raises:
        DataError: a key or value that it may not have, or a file that is not there.
    """
    said = read_task_file(path / NAME)
    own = choice_of(said)
    chosen = replace(
        choice,
        target=choice.target or own.target,
        inputs=choice.inputs or own.inputs,
        type=choice.type or own.type,
        task=choice.task or own.task,
        unit=choice.unit or own.unit,
    )
    support, query = (
        _inside(path, said.get(key), key, chosen.follow_links) for key in ("support", "query")
    )
    found = _listed(path, support, query, survey, chosen)
    return replace(found, path=path, guessed=(f"as {NAME} says", *found.guessed))


def _listed(
    path: Path,
    support: Path | None,
    query: Path | None,
    survey: Survey,
    chosen: Choice,
) -> Listing:
    if support is None:
        entries = scan(path, follow=chosen.follow_links)
        rest = replace(entries, files=tuple(name for name in entries.files if name != NAME))
        return survey(path, chosen, rest)
    if kind_of(support.name) == "table":
        return list_table(path, support, query, chosen)
    first = list_class_folders(support, follow=chosen.follow_links)
    second = None if query is None else list_class_folders(query, follow=chosen.follow_links)
    findings = (
        *first.findings,
        *(second.findings if second else ()),
        *split_problems(path, first, second),
    )
    return Listing(
        path,
        "task",
        "images",
        first.rows,
        second.rows if second else None,
        first.labels,
        ("label = folder name",),
        findings,
    )


def read_task_file(path: Path) -> dict[str, Plain]:
    """Its keys, checked. Raises DataError."""
    name = shown(path)
    try:
        document = read_yaml(read_regular(path), name)
    except RecipeError as error:
        raise DataError(error.message, code="task.syntax", where=error.where) from None
    found: dict[str, Plain] = dict(document.value)
    for key, value in found.items():
        where = f"{name}:{document.lines.get((key,), 1)}"
        if key not in KEYS:
            near = difflib.get_close_matches(str(key), KEYS, n=1)
            hint = f"did you mean {near[0]}?" if near else f"the keys are {', '.join(KEYS)}"
            message = f"unknown key {shown(str(key))}"
            raise DataError(message, code="task.unknown_key", where=where, hint=hint)
        listed = isinstance(value, list) and all(isinstance(one, str) for one in value) and value
        if not (isinstance(value, str) and value) and not (key == "input" and listed):
            message = f"{key} is {value!r}; wanted text" + (" or a list" if key == "input" else "")
            raise DataError(message, code="task.value", where=where)
        if key == "type" and value not in TYPES:
            message = f"type is {value!r}; wanted {' or '.join(TYPES)}"
            raise DataError(message, code="task.value", where=where)
    return found


def _inside(folder: Path, name: Plain, key: str, follow: bool) -> Path | None:
    """A path below the folder. Raises DataError for one that leaves it, or is not there."""
    if not isinstance(name, str):
        return None
    out = None if follow else way_out(folder, name)
    if out is not None:
        raise DataError(
            f"{key} is {shown(name)}, which {out}; wanted a path inside the folder of {NAME}",
            code="task.outside",
            where=shown(folder / NAME),
            hint="put it there; --follow-links reads it where it is",
        )
    if not mode_of(folder / name):
        raise DataError(
            f"{key}: {shown(name)} is not there", code="data.missing", where=shown(folder / NAME)
        )
    return resolved(folder / name, follow=follow)
