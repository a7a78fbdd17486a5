"""`evaluate` of a model adapted to a set whose tasks may be classifications: labelled rows of its
tasks."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from metacli.data.sets.own_added import count_known, read_added
from metacli.data.sets.own_files import OwnSets
from metacli.data.sets.own_one import OneSet
from metacli.data.sets.own_tasks import OwnTask
from metacli.data.tables.reader import read_table
from metacli.engine.events import Notice, Reporter
from metacli.engine.results.sets import SetRowsEvaluation
from metacli.engine.scoring.request import Request
from metacli.engine.sets.class_adapted import AdaptedClassSet, Answer
from metacli.engine.sets.class_folder import load_adapted_classes
from metacli.engine.sets.class_verbs import common, named_in, reads_of
from metacli.engine.sets.predicting import UNKNOWN
from metacli.engine.sets.scoring import Z90
from metacli.engine.sets.task_rows import TaskRows, evaluated, no_label
from metacli.errors import DataError

USUAL = "its commonest class, or the mean of its labels"


@dataclass(frozen=True)
class AdaptedClassScorer:
    """A model adapted to a set of classifications, on labelled rows."""

    path: Path

    @property
    def metric(self) -> str:
        """That of the first task: the mean is over the tasks of its kind."""
        first = load_adapted_classes(self.path).tasks[0]
        return "accuracy" if first.labels else "mae"

    @property
    def checked(self) -> tuple[str, ...]:
        return (self.metric,)

    def evaluate(self, request: Request) -> SetRowsEvaluation:
        """Raises UsageProblem where no rows are named, DataError for rows that do not fit."""
        request.require_no_order()
        request.require_labelled("LABELLED.csv")
        assert request.data is not None
        model = load_adapted_classes(self.path)
        one = labelled_rows(model, Path(request.data))
        warn_of_known(model, one, request.report)
        every = scores_of(model, one)
        metrics = [task.metric for task in every]
        metric = self.metric if self.metric in metrics else metrics[0]
        judged = [task for task in every if task.metric == metric]
        return evaluated(judged, every, USUAL, request)


def labelled_rows(model: AdaptedClassSet, path: Path) -> OneSet:
    """Rows with labels of tasks that the model has, numbered as its classes are. Raises
    DataError."""
    one = (
        labelled_columns(model, path) if model.layout == "columns" else labelled_tasks(model, path)
    )
    known = {task.name: task.labels for task in model.tasks}
    unknown = [task.name for task in one.tasks if task.name not in known]
    if unknown:
        raise DataError(
            f"{one.name} has rows of {', '.join(unknown)}; the model has the tasks "
            f"{', '.join(model.names)}",
            code=UNKNOWN,
            where=one.name,
            hint="leave these rows out, or adapt to them too: metacli adapt MODEL TASK --add",
        )
    tasks = tuple(renumbered(task, known[task.name], one.name) for task in one.tasks)
    if not any(len(task.y) for task in tasks):
        raise no_label(one.name, model.names)
    return replace(one, tasks=tasks)


def labelled_tasks(model: AdaptedClassSet, path: Path) -> OneSet:
    """Tables or folders of tasks, or a table with a column of tasks."""
    task = named_in(path, model.task) if model.task else ""
    target = common([one.target for one in model.tasks])
    return read_added(path, OwnSets(task=task, target=target), reads_of(model.source))


def labelled_columns(model: AdaptedClassSet, path: Path) -> OneSet:
    """A table whose target columns are tasks: those that it has, with any label in them."""
    table = read_table(path)
    there = [
        one
        for one in model.tasks
        if one.target in table.columns and any(table.words(one.target or ""))
    ]
    if not there:
        raise no_label(path.name, model.names)
    wanted = OwnSets(target=",".join(one.target or "" for one in there))
    found = read_added(path, wanted, reads_of(model.source))
    if len(there) > 1:
        return found
    (alone,) = found.tasks  # a table with one target is a task that is called like the file
    return replace(found, tasks=(replace(alone, name=there[0].name),))


def renumbered(task: OwnTask, labels: tuple[str, ...], name: str) -> OwnTask:
    """The labelled rows, classes by the model's numbers. Raises DataError for a class that the
    model does not have, or another kind of task."""
    here = ~np.isnan(task.y)
    if bool(labels) != bool(task.labels):
        kind = "a regression" if labels else "a classification"
        raise DataError(
            f"task {task.name} of {name} is {kind}, in the model it is not",
            code="data.mismatch",
            where=name,
        )
    y = task.y[here]
    if labels:
        other = sorted({task.labels[int(at)] for at in y} - set(labels))
        if other:
            raise DataError(
                f"task {task.name} of {name} has the class {other[0]}; the model knows "
                f"{', '.join(labels)}",
                code="data.unknown_class",
                where=name,
                hint="leave these rows out, or adapt to them too: metacli adapt MODEL TASK --add",
            )
        y = np.array([labels.index(task.labels[int(at)]) for at in y], float)
    return replace(task, rows=task.rows[here], y=y, labels=labels)


def warn_of_known(model: AdaptedClassSet, one: OneSet, report: Reporter) -> None:
    """Says how many rows the model was adapted to: their scores say nothing about new ones."""
    before = model.as_known()
    store = np.concatenate([before.store, one.store])
    tasks = {task.name: task for task in before.tasks}
    known = sum(
        count_known(store, tasks[task.name], replace(task, rows=task.rows + len(before.store)))
        for task in one.tasks
    )
    if known:
        count = sum(len(task.y) for task in one.tasks)
        said = f"{known} of {count} labels are among those that the model was adapted to"
        report(Notice(said, "evaluate.known_rows"))


def scores_of(model: AdaptedClassSet, one: OneSet) -> list[TaskRows]:
    """Of the tasks with labelled rows, in their order."""
    asked = {task.name: one.store[task.rows] for task in one.tasks if len(task.y)}
    apart = replace(model, tasks=tuple(replace(task, joint=False) for task in model.tasks))
    joint, alone = model.predict(asked), apart.predict(asked)
    seen = {task.name: task for task in model.as_known().tasks}
    targets = {task.name: task.target for task in model.tasks}
    found = []
    for task in (task for task in one.tasks if task.name in asked):
        level = model.source.facts.levels.get(targets[task.name] or "", (0.0, 1.0))
        found.append(task_rows(task, joint[task.name], alone[task.name], seen[task.name], level))
    return found


def task_rows(
    task: OwnTask, joint: Answer, alone: Answer, seen: OwnTask, level: tuple[float, float]
) -> TaskRows:
    """One task; `seen` are the labels that the model was adapted to."""
    if joint.probabilities is not None and alone.probabilities is not None:
        right, right_alone = (
            (one.argmax(-1) == task.y).astype(float)
            for one in (joint.probabilities, alone.probabilities)
        )
        commonest = np.bincount(seen.y.astype(int), minlength=len(task.labels)).argmax()
        usual = (task.y == commonest).astype(float)
        return TaskRows(task.name, "accuracy", right, right_alone, usual, None)
    mean, scale = level
    y = mean + scale * task.y
    error, error_alone = (np.abs(one.mean - y) for one in (joint, alone))
    usual = np.abs(mean + scale * seen.y.mean() - y)
    inside = error <= Z90 * joint.deviation
    return TaskRows(task.name, "mae", error, error_alone, usual, inside)
