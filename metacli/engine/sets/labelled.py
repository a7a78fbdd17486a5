"""`evaluate` of a model adapted to a set: labelled rows of its tasks."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from metacli.algorithms.meta_multitask.protocol import alone
from metacli.data.sets.from_user import UserSet, UserTask, asking, read_set
from metacli.engine.events import Notice, Reporter
from metacli.engine.results.sets import SetRowsEvaluation
from metacli.engine.scoring.request import Request
from metacli.engine.sets.adapting import rows_for
from metacli.engine.sets.adding import count_known, known_set
from metacli.engine.sets.model import AdaptedSet
from metacli.engine.sets.opening import open_adapted
from metacli.engine.sets.predicting import UNKNOWN, columns_for
from metacli.engine.sets.scoring import Z90
from metacli.engine.sets.task_rows import TaskRows, evaluated, no_label
from metacli.errors import DataError
from metacli.nn.set_attention import Gaussian

MEAN = "the mean of its labels"


@dataclass(frozen=True)
class AdaptedSetScorer:
    """A model adapted to a set, on labelled rows."""

    path: Path

    metric = "mae"

    @property
    def checked(self) -> tuple[str, ...]:
        return (self.metric,)

    def evaluate(self, request: Request) -> SetRowsEvaluation:
        """Raises UsageProblem where no rows are named, DataError for rows that do not fit."""
        request.require_no_order()
        request.require_labelled("LABELLED.csv")
        assert request.data is not None
        model = open_adapted(self.path)
        user = labelled_rows(model, Path(request.data))
        warn_of_known(model, user, request.report)
        errors = errors_of(model, user)
        return evaluated(errors, errors, MEAN, request)


def labelled_rows(model: AdaptedSet, path: Path) -> UserSet:
    """Rows with labels of tasks that the model has. Raises DataError."""
    found = read_set(path, columns_for(model, path), labelled=False)
    unknown = [one for one in found.names if one not in model.names]
    if unknown:
        raise DataError(
            f"{found.name} has rows of {', '.join(unknown)}; the model has the tasks "
            f"{', '.join(model.names)}",
            code=UNKNOWN,
            where=found.name,
            hint="leave these rows out, or adapt to them too: metacli adapt MODEL TASK --add",
        )
    tasks = tuple(one.labelled for one in found.tasks if not np.isnan(one.y).all())
    if not tasks:
        raise no_label(found.name, model.names)
    return UserSet(found.name, tasks, found.inputs, found.layout, found.target, found.task)


def warn_of_known(model: AdaptedSet, user: UserSet, report: Reporter) -> None:
    """Says how many rows the model was adapted to: their errors say nothing about new ones."""
    before = {one.name: one for one in known_set(model).tasks}
    known = sum(count_known(before[one.name], one) for one in user.tasks)
    if known:
        count = sum(len(one.y) for one in user.tasks)
        said = f"{known} of {count} labels are among those that the model was adapted to"
        report(Notice(said, "evaluate.known_rows"))


def errors_of(model: AdaptedSet, user: UserSet) -> list[TaskRows]:
    """Of the labelled tasks, in their order."""
    x = rows_for(model, user).x
    joint = model.predict(x)
    separate = model.source.answer(asking(model.support, model.roles, x[None]), alone(model.roles))
    return [task_errors(model, one, joint, separate.mean[0].double().numpy()) for one in user.tasks]


def task_errors(
    model: AdaptedSet, task: UserTask, joint: Gaussian, separate: np.ndarray
) -> TaskRows:
    place, count = model.names.index(task.name), len(task.y)
    mean, variance = (part[place, :count].double().numpy() for part in joint)
    support = model.support
    assert support.mask is not None  # of every adapted set
    own = float(support.y[0, place][support.mask[0, place]].double().mean())
    error = np.abs(mean - task.y)
    return TaskRows(
        *(task.name, "mae"),
        error,
        np.abs(separate[place, :count] - task.y),
        np.abs(own - task.y),
        error <= Z90 * np.sqrt(variance),
    )
