"""`inspect` of a user's own sets of tasks: what a learner of sets would be trained on."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from metacli.data.sets.own_files import SPLITS, OwnSets, find_sets
from metacli.data.sets.own_tasks import OwnData, OwnTask, read_own
from metacli.data.tables.choice import Choice
from metacli.engine.inspecting.findings import Looked, bounded, command, findings_of
from metacli.engine.results.base import Json
from metacli.errors import DataError, Finding


def look_at_own_sets(path: Path, name: str, choice: Choice) -> Looked:
    """Sets, their tasks and what is wrong with them."""
    options = OwnSets(target=choice.target or "", input=",".join(choice.inputs or ()))
    what = "sets of tasks"
    try:
        found = find_sets(path, options)
        parts = [read_own(path, options, split) for split in SPLITS]
    except DataError as error:
        return Looked(what, path.absolute(), bounded(findings_of(error)))
    problems = [lonely(one.name) for one in found if len(one.tasks) < 2]
    return Looked(
        what,
        path.absolute(),
        bounded(problems),
        details_of(parts),
        (command("meta-train", name, *choice.words()),),
    )


def lonely(name: str) -> Finding:
    return Finding(
        "warning",
        "sets.one_task",
        f"set {name} has one task, so there is nothing that it could be learned with",
        name,
        "leave it out, or add tasks",
    )


def details_of(parts: list[OwnData]) -> dict[str, Json]:
    """Counts and kinds."""
    sets = [one for part in parts for one in part.sets]
    tasks = [task for one in sets for task in one.tasks]
    known = [int((~np.isnan(task.y)).sum()) for task in tasks]
    return {
        "sets": {part.split: len(part.sets) for part in parts},
        "tasks_per_set": least_and_most([len(one.tasks) for one in sets]),
        "kinds": count_kinds(tasks),
        "labels": least_and_most(known),
        "classes": least_and_most([len(task.labels) for task in tasks if task.labels]),
        "labels_missing": sum(len(task.y) for task in tasks) - sum(known),
        "same_labels_in_every_task": parts[0].shared_labels,
        "shared_rows": any(one.shared_rows for one in sets),
        "input": parts[0].kind,
    }


def count_kinds(tasks: list[OwnTask]) -> dict[str, Json]:
    classified = sum(bool(task.labels) for task in tasks)
    found = {"classification": classified, "regression": len(tasks) - classified}
    return {name: count for name, count in found.items() if count}


def least_and_most(values: list[int]) -> list[int] | None:
    return [min(values), max(values)] if values else None
