"""Tables that a multi-task run writes: each task compared with its single-task model."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from metacli.data.plain import Record
from metacli.engine.results.base import Json
from metacli.engine.results.evaluate import MeanDelta
from metacli.engine.scoring.intervals import Estimate, paired
from metacli.engine.scoring.multi_task_scores import (
    Rows,
    Score,
    compare,
    own_metric,
    score,
    task_score,
)

COMPARISON = "tasks.json"


def estimate_of(metric: str, y: Rows, predicted: Rows) -> dict[str, float]:
    """`estimate` as plain data."""
    return estimate(score(metric, y, predicted)).as_dict()


def estimate(made: Score) -> Estimate:
    """A score over all tasks with the half-width of its interval over rows."""
    return Estimate(made.value, made.half_width(), made.rows)


def table_of(
    metric: str, names: tuple[str, ...], y: Rows, together: Rows, apart: Rows
) -> list[dict[str, Json]]:
    """One row for each task: its score, that of its single-task model, and the difference."""
    found: list[dict[str, Json]] = []
    for name, *one in zip(names, y, together, apart, strict=True):
        first, second = task_score(metric, one[0], one[1]), task_score(metric, one[0], one[2])
        difference = compare(first, second)
        found.append(
            {
                "name": name,
                "metric": own_metric(metric, one[1]),
                "value": first.value,
                "single_task": second.value,
                "delta": difference.delta,
                "delta_ci95": [difference.low, difference.high],
            }
        )
    return found


def mean_over_tasks(deltas: Sequence[float | None]) -> MeanDelta:
    """The mean difference to the single-task models, and its interval over the tasks."""
    known = np.array([one for one in deltas if one is not None and np.isfinite(one)])
    if not len(known):
        return MeanDelta()
    delta, low, high = paired(known)
    return MeanDelta(delta, (low, high), f"{len(known)} tasks")


def mean_delta(tasks: Sequence[Record]) -> MeanDelta:
    """`mean_over_tasks` of the rows of `tasks.json`."""
    return mean_over_tasks([delta_of(one) for one in tasks])


def delta_of(task: Record) -> float | None:
    """Of a row of `tasks.json`; None where there was nothing to compare."""
    delta = task["delta"]
    return float(delta) if isinstance(delta, int | float) else None


def read_comparison(run: Path) -> dict[str, Json]:
    """`tasks.json` of a run; empty where there is none."""
    path = run / COMPARISON
    found: dict[str, Json] = json.loads(path.read_bytes()) if path.is_file() else {}
    return found
