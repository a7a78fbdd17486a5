"""The README.md and example.py beside the in-context learner of sets of classifications, whose file
takes the labelled examples of a set; they need no metacli."""

from __future__ import annotations

from metacli.engine.exporting import companion
from metacli.engine.exporting.companion import Companion
from metacli.engine.exporting.graph_sets import LABELS, TASKS
from metacli.engine.results.export import ExportResult
from metacli.engine.sets.class_model import ClassSetModel

SUPPORT = '''
def support(shown, tasks):
    """The inputs of the file for examples (x, task, answer), and the classes of each task; answers
    of a task in LEVELS are values."""
    each = [sorted({a for _, t, a in shown if t == task}) for task in tasks]
    if SHARED:
        each = len(tasks) * [sorted({a for _, t, a in shown if t not in LEVELS})]
    classes = [None if task in LEVELS else found for task, found in zip(tasks, each)]
    y = np.zeros((len(shown), max(len(found or [None]) for found in classes)), np.float32)
    value = np.zeros(len(shown), np.float32)
    for row, (_, task, answer) in enumerate(shown):
        if task in LEVELS:
            mean, scale = LEVELS[task]
            value[row] = (float(answer) - mean) / scale
        else:
            y[row, classes[tasks.index(task)].index(answer)] = 1
    labels = {"classification": [y], "regression": [value], "mixed": [y, value]}[KIND]
    owner = np.array([tasks.index(task) for _, task, _ in shown], np.int64)
    ways = np.array([len(found or []) for found in classes], np.int64)
    return [np.stack([x for x, _, _ in shown]), *labels, owner, ways], classes


def answer(task, classes, found):
    """What the outputs say of one row: the likeliest class and its probability, or the value."""
    if classes is None:
        mean, scale = LEVELS[task]
        return [f"{mean + scale * found[-1]:.6g}"]
    row = found[0][: len(classes)]
    return [classes[row.argmax()], f"{row.max():.4f}"]
'''
SHOW = """
    tasks = sorted({task for _, task, _ in shown}, key=[task for _, task, _ in shown].index)
    inputs, classes = support(shown, tasks)
    asked = read(words)
    outputs = run(*inputs, asked)
    for number, name in enumerate(named(words, asked)):
        for place, task in enumerate(tasks):
            found = [output[place, number] for output in outputs]
            print(name, task, *answer(task, classes[place], found), sep="\\t")
"""
# How the examples are given: `shown`, before the queries in `words`.
GIVEN = {
    "images": """
    folder, words = Path(sys.argv[1]), sys.argv[2:]  # TASK/CLASS/IMAGE
    paths = sorted(path for path in folder.glob("*/*/*") if path.is_file())
    shown = [(x, p.parts[-3], p.parts[-2]) for x, p in zip(read(paths), paths)]
""",
    "cells": """
    path, targets, *words = sys.argv[1:]  # an empty cell is a missing label
    with open(path, newline="", encoding="utf-8-sig") as file:
        rows = list(csv.DictReader(file))
    shown = [
        (x, task, row[task].strip())
        for task in targets.split(",")
        for x, row in zip(read([path]), rows)
        if row[task].strip() not in MISSING
    ]
""",
    "texts": """
    path, *words = sys.argv[1:]  # columns text, task and label
    with open(path, newline="", encoding="utf-8-sig") as file:
        rows = list(csv.DictReader(file))
    known = read([row["text"] for row in rows])
    shown = [(x, row["task"], row["label"]) for x, row in zip(known, rows)]
""",
    "numbers": """
    path, *words = sys.argv[1:]  # columns task and label, all others are numbers
    with open(path, newline="", encoding="utf-8-sig") as file:
        rows = list(csv.DictReader(file))
    names = [name for name in rows[0] if name not in ("task", "label")]
    known = read([",".join(row[name] for name in names) for row in rows])
    shown = [(x, row["task"], row["label"]) for x, row in zip(known, rows)]
""",
}
USAGE = {
    "images": "FOLDER_OF_TASKS IMAGE...",
    "cells": "SUPPORT.csv TARGET,TARGET ROWS.csv",
    "texts": 'SUPPORT.csv "A TEXT"...',
    "numbers": "SUPPORT.csv NUMBERS...",
}


def companion_of(result: ExportResult, model: ClassSetModel, name: str) -> Companion:
    """What stands beside the file, and how the example is called."""
    given, facts = companion.given_as(result), model.facts
    levels = {target: tuple(level) for target, level in facts.levels.items()}
    constants = (
        f"KIND, SHARED = {facts.kind!r}, {facts.shared_labels}",
        f"LEVELS = {levels!r}",
    )
    made = companion.Script(
        USAGE[given], GIVEN[given] + SHOW[1:], given != "images", constants, "\n" + SUPPORT
    )
    readme = companion.readme(result, name, USAGE[given], notes(model))
    return Companion(companion.script(result, made), readme, USAGE[given])


def notes(model: ClassSetModel) -> list[str]:
    """What a user has to know."""
    sizes, shared = model.recipe.sets, model.facts.shared_labels
    trained = f"of {in_words(sizes.tasks)} tasks"
    trained += f", {in_words(sizes.way)} classes" if sizes.way is not None else ""
    trained += f", {in_words(sizes.shot)} examples of each" if sizes.shot is not None else ""
    trained += f", {in_words(sizes.points)} examples of each" if sizes.points is not None else ""
    alike = "Class n is the same in every task." if shared else "Classes are of their own task."
    return [
        f"Sizes that are words may be any number: up to {LABELS} labelled examples of up to "
        f"{TASKS} tasks. {alike} The order of examples, of tasks and of classes changes nothing. "
        "The probabilities are not calibrated.",
        "",
        f"In training sets were {trained}. Others are answered, but were never trained.",
    ]


def in_words(span: int | tuple[int, int] | list[int] | None) -> str:
    if isinstance(span, tuple | list):
        return str(span[0]) if span[0] == span[1] else f"{span[0]} to {span[1]}"
    return str(span)
