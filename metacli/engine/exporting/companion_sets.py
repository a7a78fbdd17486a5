"""The README.md and example.py beside an exported model of sets; they need no metacli."""

from __future__ import annotations

import json

from metacli.engine.exporting import companion
from metacli.engine.exporting.companion import Companion
from metacli.engine.exporting.companion_parts import IMPORT, NEEDS, RUN, begin_main
from metacli.engine.exporting.graph_sets import LABELS, TASKS
from metacli.engine.models.card import escape
from metacli.engine.results.export import ExportResult
from metacli.engine.sets.model import AdaptedSet, SetModel

ADAPTED = '''
def read(path):
    """The input columns of a table, float32 [rows, columns]."""
    with open(path, newline="", encoding="utf-8-sig") as file:
        rows = list(csv.DictReader(file))
    return np.array([[float(row[name]) for name in COLUMNS] for row in rows], np.float32)
'''
ADAPTED_MAIN = """
    outputs = run(read(sys.argv[1]))
    print("row", "task", "value", "low", "high", sep="\\t")
    for row in range(len(outputs[0])):
        for task, found in zip(TASKS, outputs):
            print(row + 1, task, *(f"{one:.6g}" for one in found[row]), sep="\\t")
"""
CONTEXT = '''
def table(path):
    with open(path, newline="", encoding="utf-8-sig") as file:
        return list(csv.DictReader(file))


def support(rows, tasks, inputs):
    """The labels of a table with a column for each task; empty cells are missing labels."""
    found = [
        ([float(row[name]) for name in inputs], float(row[task]), number)
        for number, task in enumerate(tasks)
        for row in rows
        if row[task].strip()
    ]
    x, y, task = zip(*found)
    return np.array(x, np.float32), np.array(y, np.float32), np.array(task, np.int64)


def named(columns):
    """The columns that are tasks."""
    if not KNOWN:
        return sys.argv[3].split(",")
    return [name for name in columns if name in KNOWN]
'''
CONTEXT_MAIN = """
    known, asked = table(sys.argv[1]), table(sys.argv[2])
    tasks = named(known[0])
    inputs = [name for name in known[0] if name not in tasks]
    if not tasks or len(inputs) != WIDTH:
        raise SystemExit(f"wanted {WIDTH} inputs, and tasks out of {KNOWN}: {list(known[0])}")
    roles = np.array([KNOWN.index(one) if KNOWN else -1 for one in tasks], np.int64)
    rows = np.array([[float(row[name]) for name in inputs] for row in asked], np.float32)
    (values,) = run(*support(known, tasks, inputs), roles, rows)
    print("row", "task", "value", "low", "high", sep="\\t")
    for row in range(len(rows)):
        for number, task in enumerate(tasks):
            print(row + 1, task, *(f"{one:.6g}" for one in values[number, row]), sep="\\t")
"""


def companion_of(result: ExportResult, model: SetModel | AdaptedSet, name: str) -> Companion:
    usage = usage_of(model)
    return Companion(example(result, model, usage), readme(result, model, name, usage), usage)


def usage_of(model: SetModel | AdaptedSet) -> str:
    if isinstance(model, AdaptedSet):
        return "ROWS.csv"
    return "SUPPORT.csv ROWS.csv" + ("" if model.known else " TASK,TASK")


def example(result: ExportResult, model: SetModel | AdaptedSet, usage: str) -> str:
    """The script that runs the file."""
    file = companion.file_of(result)
    facts = [f"FILE = Path(__file__).with_name({json.dumps(file.name)})"]
    if isinstance(model, AdaptedSet):
        facts += [f"COLUMNS = {list(model.inputs)!r}", f"TASKS = {list(model.names)!r}"]
        body, main = ADAPTED, ADAPTED_MAIN
    else:
        facts += [f"KNOWN = {list(model.known)!r}", f"WIDTH = {model.width}"]
        body, main = CONTEXT, CONTEXT_MAIN
    head = (
        f'"""Runs the exported model in this folder. It needs numpy and {NEEDS[result.format]}, '
        f'and not metacli.\n\n    python THIS_FILE {usage}\n"""\n'
    )
    imports = ["import csv", "import sys", "from pathlib import Path", "", "import numpy as np"]
    lines = "\n".join([*imports, IMPORT[result.format], "", *facts])
    return f"{head}\n{lines}\n\n{body}{RUN[result.format]}{begin_main(usage)}{main}"


def readme(result: ExportResult, model: SetModel | AdaptedSet, name: str, usage: str) -> str:
    """What the file is, what goes in and comes out, how to run it."""
    file, parity = companion.file_of(result), result.parity
    lines = [f"# {escape(file.name)}", "", f"Exported from the metacli model {escape(name)}.", ""]
    lines += ["| | name | type | shape | values |", "| --- | --- | --- | --- | --- |"]
    lines += [companion.row_of("input", one) for one in result.inputs]
    lines += [companion.row_of("output", one) for one in result.outputs]
    lines += ["", *notes(model), "", "## Run it", "", "```"]
    lines += [f"pip install numpy {NEEDS[result.format]}"]
    lines += [f"python {companion.names(file)[1].name} {usage}", "```", ""]
    return "\n".join([*lines, companion.compared(parity), ""])


def notes(model: SetModel | AdaptedSet) -> list[str]:
    if isinstance(model, AdaptedSet):
        return ["Sizes that are words may be any number. Every task answers every row."]
    points = model.recipe.sets.points
    most = max(points) if isinstance(points, tuple | list) else points
    return [
        f"Sizes that are words may be any number: up to {LABELS} labels of up to {TASKS} tasks. A "
        "missing label is left out. The order of labels and of tasks changes nothing.",
        "",
        f"In training sets had up to {most} points, and the tasks had these roles: "
        f"{', '.join(map(escape, model.known)) or 'none'}. More points are answered, but were "
        "never trained.",
    ]
