"""What labelled rows say of the tasks of a model that was adapted to a set."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from metacli.engine.results.evaluate import Baseline, TaskScore
from metacli.engine.results.sets import SetRowsEvaluation
from metacli.engine.scoring.intervals import Estimate, compared, over_episodes, paired_t
from metacli.engine.scoring.request import Request
from metacli.errors import DataError

ALONE = "each task alone"


@dataclass(frozen=True)
class TaskRows:
    """Scores [M] on the labelled rows of one task (1 where the class is right; the absolute error
    of a regression): of the model, of the same model from the task's own labels alone, and of its
    commonest class or the mean of its labels; of a regression, whether each row lies in its 90 %
    interval."""

    name: str
    metric: str
    model: np.ndarray
    alone: np.ndarray
    usual: np.ndarray
    inside: np.ndarray | None

    @property
    def larger_is_better(self) -> bool:
        return self.metric == "accuracy"


def evaluated(
    judged: Sequence[TaskRows], every: Sequence[TaskRows], usual: str, request: Request
) -> SetRowsEvaluation:
    """The result on labelled rows.

    Args:
        judged: the tasks of the kind of the first, which the mean is over.
        usual: what `TaskRows.usual` is called.
    """
    rows = sum(len(task.model) for task in judged)
    score = mean_over_tasks([task.model for task in judged])
    inside = [task.inside for task in every if task.inside is not None]
    return SetRowsEvaluation(
        metric=judged[0].metric,
        mean=score.mean,
        ci95=score.ci95 if math.isfinite(score.ci95) else None,
        data=request.data,
        query=rows,
        rows=rows,
        num_tasks=len(judged),
        baselines={
            ALONE: against(judged, [task.alone for task in judged]),
            usual: against(judged, [task.usual for task in judged]),
        },
        tasks=tuple(map(scored, every)),
        coverage90=float(np.concatenate(inside).mean()) if inside else None,
        dry_run=request.dry_run or None,
    )


def no_label(name: str, tasks: Sequence[str]) -> DataError:
    """Nothing to measure on."""
    return DataError(
        f"{name} has no label of any task of the model: {', '.join(tasks)}",
        code="sets.no_label",
        where=name,
        hint="metacli predict answers rows without labels",
    )


def mean_over_tasks(errors: Sequence[np.ndarray]) -> Estimate:
    """The mean over tasks of the mean over rows, whose interval is over the rows of these tasks."""
    parts = [over_episodes(one) for one in errors]
    mean = float(np.mean([one.mean for one in parts]))
    half = math.sqrt(sum(one.ci95**2 for one in parts)) / len(parts)
    return Estimate(mean, half, sum(one.n for one in parts))


def against(tasks: Sequence[TaskRows], other: Sequence[np.ndarray]) -> Baseline:
    """Another way of answering the same rows, paired row by row."""
    differences = np.concatenate([one.model - b for one, b in zip(tasks, other, strict=True)])
    better = tasks[0].larger_is_better
    found = compared(paired_t(differences), len(differences), larger_is_better=better)
    return Baseline(mean_over_tasks(other), against=found, units=len(differences))


def scored(task: TaskRows) -> TaskScore:
    """One task, beside itself alone."""
    count, metric = len(task.model), task.metric
    value, single = float(task.model.mean()), float(task.alone.mean())
    if count < 2:
        verdict = "too_few_to_say"
        return TaskScore(task.name, metric, value, single, value - single, verdict=verdict)
    better = task.larger_is_better
    found = compared(paired_t(task.model - task.alone), count, larger_is_better=better)
    ends = (found.low, found.high)
    return TaskScore(
        *(task.name, metric, value, single, found.delta, ends, None),
        *(found.verdict, found.detectable),
    )
