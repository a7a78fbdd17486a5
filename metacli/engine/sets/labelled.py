"""`evaluate` of a model adapted to a set: labelled rows of its tasks."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from metacli.algorithms.meta_multitask.protocol import alone
from metacli.data.sets.from_user import UserSet, UserTask, asking, read_set
from metacli.engine.events import Notice, Reporter
from metacli.engine.results.evaluate import Baseline, TaskScore
from metacli.engine.results.sets import SetRowsEvaluation
from metacli.engine.scoring.intervals import Estimate, compared, over_episodes, paired_t
from metacli.engine.scoring.request import Request
from metacli.engine.sets.adapting import rows_for
from metacli.engine.sets.adding import count_known, known_set
from metacli.engine.sets.model import AdaptedSet
from metacli.engine.sets.opening import open_adapted
from metacli.engine.sets.predicting import UNKNOWN, columns_for
from metacli.engine.sets.scoring import Z90
from metacli.errors import DataError
from metacli.nn.set_attention import Gaussian

ALONE, MEAN = "each task alone", "the mean of its labels"


@dataclass(frozen=True)
class TaskErrors:
    """Absolute errors [M] on the labelled rows of one task: of the model, of the same model from
    the task's own labels alone, and of the mean of these labels; whether each row lies in its 90 %
    interval."""

    name: str
    model: np.ndarray
    alone: np.ndarray
    mean: np.ndarray
    inside: np.ndarray


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
        rows = sum(len(one.model) for one in errors)
        score = mean_over_tasks([one.model for one in errors])
        return SetRowsEvaluation(
            metric="mae",
            mean=score.mean,
            ci95=score.ci95 if math.isfinite(score.ci95) else None,
            data=request.data,
            query=rows,
            rows=rows,
            num_tasks=len(errors),
            baselines={
                ALONE: against(errors, [one.alone for one in errors]),
                MEAN: against(errors, [one.mean for one in errors]),
            },
            tasks=tuple(map(scored, errors)),
            coverage90=float(np.concatenate([one.inside for one in errors]).mean()),
            dry_run=request.dry_run or None,
        )


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
        raise DataError(
            f"{found.name} has no label of any task of the model: {', '.join(model.names)}",
            code="sets.no_label",
            where=found.name,
            hint="metacli predict answers rows without labels",
        )
    return UserSet(found.name, tasks, found.inputs, found.layout, found.target, found.task)


def warn_of_known(model: AdaptedSet, user: UserSet, report: Reporter) -> None:
    """Says how many rows the model was adapted to: their errors say nothing about new ones."""
    before = {one.name: one for one in known_set(model).tasks}
    known = sum(count_known(before[one.name], one) for one in user.tasks)
    if known:
        count = sum(len(one.y) for one in user.tasks)
        said = f"{known} of {count} labels are among those that the model was adapted to"
        report(Notice(said, "evaluate.known_rows"))


def errors_of(model: AdaptedSet, user: UserSet) -> list[TaskErrors]:
    """Of the labelled tasks, in their order."""
    x = rows_for(model, user).x
    joint = model.predict(x)
    separate = model.source.answer(asking(model.support, model.roles, x[None]), alone(model.roles))
    return [task_errors(model, one, joint, separate.mean[0].double().numpy()) for one in user.tasks]


def task_errors(
    model: AdaptedSet, task: UserTask, joint: Gaussian, separate: np.ndarray
) -> TaskErrors:
    place, count = model.names.index(task.name), len(task.y)
    mean, variance = (part[place, :count].double().numpy() for part in joint)
    support = model.support
    assert support.mask is not None  # of every adapted set
    own = float(support.y[0, place][support.mask[0, place]].double().mean())
    error = np.abs(mean - task.y)
    return TaskErrors(
        task.name,
        error,
        np.abs(separate[place, :count] - task.y),
        np.abs(own - task.y),
        error <= Z90 * np.sqrt(variance),
    )


def mean_over_tasks(errors: Sequence[np.ndarray]) -> Estimate:
    """The mean over tasks of the mean over rows, whose interval is over the rows of these tasks."""
    parts = [over_episodes(one) for one in errors]
    mean = float(np.mean([one.mean for one in parts]))
    half = math.sqrt(sum(one.ci95**2 for one in parts)) / len(parts)
    return Estimate(mean, half, sum(one.n for one in parts))


def against(errors: Sequence[TaskErrors], other: Sequence[np.ndarray]) -> Baseline:
    """Another way of answering the same rows, paired row by row."""
    differences = np.concatenate([one.model - b for one, b in zip(errors, other, strict=True)])
    score = mean_over_tasks(other)
    paired = compared(paired_t(differences), len(differences), larger_is_better=False)
    return Baseline(score, against=paired, units=len(differences))


def scored(errors: TaskErrors) -> TaskScore:
    """One task, beside itself alone."""
    count = len(errors.model)
    value, single = float(errors.model.mean()), float(errors.alone.mean())
    if count < 2:
        verdict = "too_few_to_say"
        return TaskScore(errors.name, "mae", value, single, value - single, verdict=verdict)
    found = compared(paired_t(errors.model - errors.alone), count, larger_is_better=False)
    ends = (found.low, found.high)
    return TaskScore(
        errors.name, "mae", value, single, found.delta, ends, None, found.verdict, found.detectable
    )
