"""`inspect` of sets of tasks for learners of sets: a folder of sets, a set in a folder, and a table
whose rows name their task."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from metacli.data.files import scan, shown
from metacli.data.sets.from_user import SetColumns, UserTask, matrix, of_columns, of_rows, target_of
from metacli.data.sets.functions import NAMES
from metacli.data.tables.choice import NOTHING_SAID, Choice
from metacli.data.tables.columns import TARGETS
from metacli.data.tables.reader import read_table
from metacli.data.user.listing import is_table, kind_of
from metacli.engine.inspecting.findings import Looked, bounded, command, findings_of
from metacli.engine.results.base import Json
from metacli.errors import DataError, Finding

TASK = "task"  # the column that names a row's task
HALVES = ("support", "query", "train", "val", "test")
UNEQUAL = 4  # times as many labels as the smallest task


def sets_below(path: Path) -> tuple[Path, ...]:
    """The sets in a folder of sets: folders of tables, of which one has several; () for anything
    else."""
    if not path.is_dir():
        return ()
    folders = sorted(one for one in path.iterdir() if one.is_dir() and not one.name.startswith("."))
    tables = [tables_of(one) for one in folders]
    stems = {Path(name).stem for names in tables for name in names}
    if any(kind_of(name) for name in scan(path).files) or stems & set(HALVES):
        return ()
    fits = all(tables) and max(map(len, tables), default=0) > 1
    return tuple(folders) if fits else ()


def tables_of(folder: Path) -> list[str]:
    return [name for name in scan(folder).files if kind_of(name) == "table"]


def is_table_of_tasks(path: Path, choice: Choice) -> bool:
    """Whether a table is a set: a column `task` names the task of each row and another holds
    labels, or several columns are tasks that built-in sets have."""
    if choice != NOTHING_SAID or not path.is_file() or not is_table(path):
        return False
    try:
        columns = read_table(path).columns
    except DataError:
        return False
    labelled = any(one in TARGETS for one in columns)
    return TASK in columns if labelled else len(known_in(columns)) > 1


def known_in(columns: Sequence[str]) -> tuple[str, ...]:
    """The columns that are called like a task of the built-in functions."""
    return tuple(one for one in columns if one in NAMES)


def look_at_sets(path: Path, name: str, sets: Sequence[Path]) -> Looked:
    """A folder of sets, or a set in one table."""
    if not sets:
        tasks, layout, problems = tasks_of_table(path)
        details = {"layout": layout, **said_of(tasks)}
        return looked("set of tasks", path, name, details, [*problems, *judged(tasks, path.name)])
    found: list[Finding] = []
    shapes: dict[str, Json] = {}
    for one in sets:
        tasks, problems = tasks_of_folder(one)
        found += [*problems, *judged(tasks, one.name)]
        shapes[one.name] = said_of(tasks)
    details = {"layout": "folder of sets", "sets": len(sets), "tasks": shapes}
    return looked("sets of tasks", path, name, details, found)


def with_set(found: Looked, path: Path, name: str) -> Looked:
    """A folder of tables, also read as one set."""
    tasks, problems = tasks_of_folder(path)
    more = [*problems, *judged(tasks, path.name)]
    known = {(one.code, one.where) for one in found.problems}
    added = [one for one in more if (one.code, one.where) not in known]
    broken = any(one.level == "error" for one in more)
    steps = () if broken else (command("adapt", "SET_MODEL", name),)
    details = {**found.details, "as_a_set": said_of(tasks)}
    problems_now = bounded([*found.problems, *(softened(one) for one in added)])
    return replace(found, problems=problems_now, details=details, next=(*found.next, *steps))


def softened(one: Finding) -> Finding:
    """What only a learner of sets minds is a note where the folder may be meant otherwise."""
    return replace(one, level="note", message=f"as a set: {one.message}")


def looked(
    what: str, path: Path, name: str, details: Mapping[str, Json], problems: Sequence[Finding]
) -> Looked:
    broken = any(one.level == "error" for one in problems)
    adapt = "SET" if what == "sets of tasks" else name
    steps = () if broken else (command("adapt", "SET_MODEL", adapt),)
    return Looked(what, path.absolute(), bounded(problems), details, steps)


def tasks_of_table(path: Path) -> tuple[list[UserTask], str, list[Finding]]:
    """Tasks and layout of a table whose rows name their task, or with a column for each."""
    table = read_table(path)
    rows = TASK in table.columns
    try:
        if rows:
            found = of_rows(table, TASK, SetColumns(), True)
        else:
            found = of_columns(table, SetColumns(known_in(table.columns)), True)
    except DataError as error:
        return [], "rows" if rows else "columns", list(findings_of(error))
    return list(found.tasks), found.layout, []


def tasks_of_folder(path: Path) -> tuple[list[UserTask], list[Finding]]:
    """Every table of a set, and what is wrong with each; the inputs are those of the first."""
    tasks, problems, first, inputs = [], [], "", tuple[str, ...]()
    for name in tables_of(path):
        try:
            table = read_table(path / name)
            target = target_of(table, True)
            own = tuple(one for one in table.columns if one != target)
            first, inputs = first or name, inputs or own
            if set(own) != set(inputs):
                problems.append(differ(path, name, own, first, inputs))
                continue
            assert target is not None  # of a table that is labelled
            tasks.append(UserTask(Path(name).stem, matrix(table, inputs), table.numbers(target)))
        except DataError as error:
            problems += findings_of(error)
    return tasks, problems


def differ(path: Path, name: str, own: Sequence[str], first: str, inputs: Sequence[str]) -> Finding:
    """By name: what is missing, and what is there too much."""
    missing = [shown(one) for one in inputs if one not in own]
    more = [shown(one) for one in own if one not in inputs]
    words = [f"has no column {', '.join(missing)}"] if missing else []
    words += [f"has also {', '.join(more)}"] if more else []
    return Finding(
        "error",
        "sets.columns_differ",
        f"{shown(name)} of {shown(path.name)} {' and '.join(words)}; {shown(first)} has "
        f"{', '.join(map(shown, inputs))}",
        shown(path / name),
        "the tasks of a set have the same inputs; --input A,B chooses some",
    )


def judged(tasks: Sequence[UserTask], name: str) -> list[Finding]:
    """A task without labels, one task alone, and tasks of very different sizes."""
    found = [
        Finding(
            "error",
            "sets.no_label",
            f"task {shown(one.name)} of {shown(name)} has no label",
            shown(name),
            "leave the task out, or give it one labelled row",
        )
        for one in tasks
        if np.isnan(one.y).all()
    ]
    counts = {one.name: int((~np.isnan(one.y)).sum()) for one in tasks}
    if len(counts) == 1:
        only = shown(next(iter(counts)))
        said = f"{shown(name)} has one task, {only}: there is nothing to learn together"
        found.append(Finding("warning", "sets.one_task", said, shown(name)))
    low, high = min(counts.values(), default=0), max(counts.values(), default=0)
    if low > 0 and high >= UNEQUAL * low:
        few, many = (
            ", ".join(shown(key) for key, count in counts.items() if count == end)
            for end in (low, high)
        )
        said = f"tasks of {shown(name)} are unequal: {low} labels of {few}, {high} of {many}"
        found.append(Finding("note", "sets.unequal", said, shown(name)))
    return found


def said_of(tasks: Sequence[UserTask]) -> dict[str, Json]:
    """Labels of each task, and how many columns."""
    return {
        shown(one.name): f"{int((~np.isnan(one.y)).sum())} labels of {len(one.y)} rows"
        for one in tasks
    }
