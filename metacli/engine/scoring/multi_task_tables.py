"""Tables that a multi-task run writes: each task beside its single-task model."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from metacli.engine.scoring.intervals import Estimate, paired
from metacli.engine.scoring.multi_task_scores import Rows, compare, own_metric, score, task_score

COMPARISON = "tasks.json"
MEAN_DELTA = ("mean_delta", "mean_delta_ci95", "mean_delta_over")


def estimate_of(metric: str, y: Rows, predicted: Rows) -> dict[str, float]:
    made = score(metric, y, predicted)
    return Estimate(made.value, made.half_width(), made.rows).as_dict()


def table_of(
    metric: str, names: tuple[str, ...], y: Rows, together: Rows, apart: Rows
) -> list[dict[str, Any]]:
    """One row for each task: its score, that of its single-task model, and the difference."""
    found = []
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


def mean_delta(tasks: list[dict[str, Any]]) -> dict[str, Any]:
    """The mean difference to the single-task models, and its interval over the tasks."""
    known = [
        one["delta"] for one in tasks if one["delta"] is not None and np.isfinite(one["delta"])
    ]
    if not known:
        return dict.fromkeys(MEAN_DELTA)
    delta, low, high = paired(np.array(known))
    return dict(zip(MEAN_DELTA, (delta, [low, high], f"{len(known)} tasks"), strict=True))


def read_comparison(run: Path) -> dict[str, Any]:
    path = run / COMPARISON
    found: dict[str, Any] = json.loads(path.read_bytes()) if path.is_file() else {}
    return found
