"""`inspect` of tables and texts: what each column is, what is wrong, and what to type next."""

from __future__ import annotations

from collections import Counter, defaultdict

import numpy as np

from metacli.data.files import shown
from metacli.data.tables.choice import NOTHING_SAID, Choice
from metacli.data.tables.leaks import leaks
from metacli.data.tables.reader import Table
from metacli.data.user.listing import Listing, TabularTask
from metacli.data.user.problems import alike_as_one
from metacli.data.user.row_loading import clashing, remember
from metacli.engine.inspecting.classes import divides
from metacli.engine.inspecting.findings import Looked, bounded, command, findings_of
from metacli.engine.results.base import Json
from metacli.errors import DataError, Finding

MOST_COLUMNS = 40  # listed one by one
TASKS_TO_DIVIDE = 5


def look_at_rows(listing: Listing, name: str, choice: Choice = NOTHING_SAID) -> Looked:
    """A task, or a set of tasks, in tables."""
    parts = listing.children or (listing,)
    problems = list(listing.findings)
    for part in parts:
        problems += part.findings + tuple(problems_of(part))
    details: dict[str, Json] = {"kind": listing.kind, "guessed": list(listing.guessed)}
    if listing.what == "task":
        details |= task_of_rows(listing)
    else:
        details["tasks"] = {shown(one.path.name): counts(one) for one in parts}
        details["columns"] = columns_of(parts[0].tables)
    found = bounded(alike_as_one(dict.fromkeys(problems), listing.path))
    return Looked(
        "task" if listing.what == "task" else "set of tasks",
        listing.path.absolute(),
        found,
        details,
        what_next(listing, name, found, choice),
    )


def problems_of(task: Listing) -> list[Finding]:
    """Duplicates, cells that cannot be read, and columns that give the target away."""
    content: TabularTask = task.tables
    seen: defaultdict[str, list[tuple[str, str, str]]] = defaultdict(list)
    found: list[Finding] = []
    for side, table in (("support", content.support), ("query", content.query)):
        if table is None:
            continue
        try:
            require_cells(table, content)
            remember(seen, side, table, content)
        except DataError as error:
            found += findings_of(error)
    clashes, repeats = clashing(seen, task)
    if content.roles.kind == "table":
        found += leaks(content.support, content.target, content.roles.inputs, content.type)
    return found + clashes + repeats


def require_cells(table: Table, content: TabularTask) -> None:
    """Raises DataError for a column that is missing, or a cell that is not a number."""
    for one in content.roles.inputs:
        if content.roles.kinds.get(one) == "numeric":
            table.numbers(one)
        else:
            table.require(one)


def task_of_rows(task: Listing) -> dict[str, Json]:
    """Counts, columns and how `adapt` will measure itself."""
    content: TabularTask = task.tables
    found: dict[str, Json] = {**counts(task), "type": content.type, "target": content.target}
    if content.type == "classification":
        per_class = dict(sorted(Counter(row.label or "" for row in task.support).items()))
        found["support_per_class"] = per_class
        found["smallest_class"] = min(per_class.values(), default=None)
    else:
        values = content.support.numbers(content.target)
        found["target_range"] = [float(np.nanmin(values)), float(np.nanmax(values))]
        found["unit"] = content.unit
    return {**found, "columns": columns_of(content)}


def counts(task: Listing) -> dict[str, Json]:
    """Classes and examples."""
    content: TabularTask = task.tables
    query = None if content.query is None else len(content.query)
    classes = len(task.labels) if content.type == "classification" else None
    return {"classes": classes, "support": len(content.support), "query": query}


def columns_of(content: TabularTask) -> dict[str, str]:
    """What each column is, with how many cells it lacks."""
    found = {}
    for one in content.roles.inputs[:MOST_COLUMNS]:
        missing = sum(cell is None for cell in content.support.words(one))
        kind = content.roles.kinds[one]
        found[one] = f"{kind}, {missing} missing" if missing else kind
    rest = len(content.roles.inputs) - MOST_COLUMNS
    return {**found, "...": f"and {rest} more"} if rest > 0 else found


def what_next(
    listing: Listing, name: str, problems: tuple[Finding, ...], choice: Choice = NOTHING_SAID
) -> tuple[str, ...]:
    """Commands that make sense now, with the columns that were stated; none where something has
    to be put right first."""
    errors = [one for one in problems if one.level == "error"]
    columns = choice.words()
    links = ["--follow-links"] if choice.follow_links else []
    flags = [*columns, *(["--allow-duplicates"] if errors else []), *links]
    if any(one.code != "data.same_text" for one in errors):
        return ()
    if listing.what == "tasks":
        if choice.target is not None and not listing.children[0].path.exists():
            return (command("multitask", name, *columns),)
        first = listing.children[0].path
        one = str(first) if first.exists() else name
        train = command("meta-train", name, *columns)
        adapt = (command("adapt", "@last", one, *flags),) if first.exists() else ()
        return (train, *adapt) if len(listing.children) >= TASKS_TO_DIVIDE else adapt
    steps = [command("adapt", name, *flags)]
    if listing.query is None and listing.labels and divides(listing):
        steps.append(command("meta-train", name, *columns))
    return tuple(steps)


def is_rows(listing: Listing) -> bool:
    return (listing.content is not None and listing.kind != "images") or any(
        one.content is not None and one.kind != "images" for one in listing.children
    )
