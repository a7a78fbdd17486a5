"""`evaluate` of a multi-task model: its score on rows that no training has read, and for each task
whether learning together helped."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from metacli.data.multi_task.dataset import SPLITS, MultiTaskRows
from metacli.engine.events import Progress, Reporter
from metacli.engine.models.folder import load_multi_task
from metacli.engine.models.model import MultiTaskModel
from metacli.engine.models.opening import Opened
from metacli.engine.reporting.multi_task_plots import draw_deltas
from metacli.engine.scoring import score_file
from metacli.engine.scoring.checks import LOWER_IS_BETTER
from metacli.engine.scoring.divisions import mean_difference, trained_as
from metacli.engine.scoring.intervals import Verdict, benjamini_hochberg, verdict
from metacli.engine.scoring.multi_task_baselines import outside_predictions
from metacli.engine.scoring.multi_task_params import predictions
from metacli.engine.scoring.multi_task_scores import (
    TASK_METRIC,
    Difference,
    Rows,
    compare,
    mean_r2,
    own_metric,
    score,
    task_score,
    within,
)
from metacli.engine.scoring.multi_task_tables import estimate_of
from metacli.engine.training.multi_task_build import make_rows
from metacli.engine.training.single_task import SINGLE
from metacli.errors import DataError, UsageProblem

LEVEL = 0.05
ROUNDING = 1e-3  # of a score: trainings of one network that differ by less than that are the same


def evaluate_tasks(
    opened: Opened[MultiTaskModel],
    split: str | None,
    out: str | None,
    dry_run: bool,
    report: Reporter,
) -> dict[str, Any]:
    """The `result` of the command line's JSON document.

    Raises:
        DataError: the data are not those that the model was trained on.
        UsageProblem: no such split.
    """
    model, wanted = opened.model, split or "test"
    if wanted not in SPLITS:
        raise UsageProblem(f"--split is one of {', '.join(SPLITS)}, found {wanted}")
    rows = make_rows(model.recipe)
    require_same(model.provenance, rows)
    table = rows.table
    facts = {
        "metric": table.metric,
        "data": model.recipe.data.source,
        "split": wanted,
        "split_seed": model.recipe.data.options.get("split_seed", 0),
        "data_digest": rows.digest,
        "num_tasks": len(table.tasks),
        **dict.fromkeys(("episodes", "episodes_seed", "scheme", "way", "shot", "query")),
        **dict.fromkeys(("transductive", "chance", "expect")),
        "statistics": "train",
        "per_step": [],
        "curve": [],
    }
    if dry_run:
        return {**facts, "dry_run": True, "mean": None, "ci95": None}
    y = rows.numbers(wanted)[1]
    mine = predictions(model.problem(), model.params, rows, wanted)
    others = baselines(opened, rows, wanted, report)
    tasks = judged(table.metric, table.tasks, y, mine, others.get(SINGLE))
    line = line_of(opened, facts)
    said = {
        **facts,
        **measured(table.metric, y, mine, others),
        "tasks": tasks,
        **mean_difference(tasks, rows, opened.run, line, report),
    }
    path = score_file.place_for(opened.run, opened.path, out)
    score_file.record(path, line, np.array([task["value"] for task in tasks], float), said)
    plot = None
    if opened.run is not None:
        plot = draw_deltas(opened.run, tasks, f"deltas-{wanted}", f"on {wanted} rows")
    return {**said, "plot": None if plot is None else str(plot), "scores": str(path)}


def measured(metric: str, y: Rows, mine: Rows, others: Mapping[str, Rows]) -> dict[str, Any]:
    """Over all tasks: the score, other readings of it, and every baseline beside it."""
    made, shown = score(metric, y, mine), estimate_of(metric, y, mine)
    return {
        "mean": shown["mean"],
        "ci95": shown["ci95"],
        "rows": made.rows,
        "inductive": shown,
        **beside(metric, y, mine),
        "baselines": {
            name: {
                **estimate_of(metric, y, found),
                **against(compare(made, score(metric, y, found)), metric),
            }
            for name, found in others.items()
        },
    }


def require_same(provenance: Any, rows: MultiTaskRows) -> None:
    """Raises DataError where other rows would be called test rows than were left out."""
    trained = provenance.get("data", {}).get("digest")
    if trained is not None and trained != rows.digest:
        raise DataError(
            "the data or their division are not those that the model was trained on",
            code="data.changed",
            where=rows.table.name,
            hint=f"metacli fetch {rows.table.name} --force",
        )


def baselines(
    opened: Opened[MultiTaskModel], rows: MultiTaskRows, split: str, report: Reporter
) -> dict[str, list[np.ndarray]]:
    """Predictions of the single-task model that the run trained, and of the simple models fitted
    anew. Simple models are fitted to what the model itself was fitted to."""
    found = {}
    if opened.run is not None and (folder := opened.run / "baselines" / SINGLE).is_dir():
        single = load_multi_task(folder)
        found[SINGLE] = predictions(single.problem(), single.params, rows, split)
    train = ("train", "val") if split == "test" else ("train",)
    tick = lambda name: report(Progress(f"baseline {name}", 0, None))  # noqa: E731
    return found | dict(outside_predictions(rows, train, split, tick))


def beside(metric: str, y: Rows, predicted: Rows) -> dict[str, float]:
    """Other readings of the same predictions, so that nobody has to guess which one is meant."""
    if metric != "explained_variance":
        return {}
    return {"within_tasks": within(y, predicted), "mean_task_r2": mean_r2(y, predicted)}


def against(found: Difference, metric: str) -> dict[str, Any]:
    """How the model differs from a baseline: positive is a larger score of the model."""
    larger = metric not in LOWER_IS_BETTER
    return {
        "delta": found.delta,
        "delta_ci95": [found.low, found.high],
        "verdict": verdict(found.low, found.high, found.rows, larger_is_better=larger),
    }


def judged(
    metric: str, names: tuple[str, ...], y: Rows, mine: Rows, single: Rows | None
) -> list[dict[str, Any]]:
    """One row for each task. The interval is the raw one; verdicts hold for all tasks together,
    with a false discovery rate of 5 % (Benjamini and Hochberg)."""
    own = [own_metric(metric, one) for one in mine]
    scores = [task_score(metric, a, b) for a, b in zip(y, mine, strict=True)]
    rows = [
        {"name": name, "metric": by, "value": one.value}
        for name, by, one in zip(names, own, scores, strict=True)
    ]
    if single is None:
        none = {"single_task": None, "delta": None, "delta_ci95": None, "verdict": None}
        return [{**row, **none} for row in rows]
    alone = [task_score(metric, a, b) for a, b in zip(y, single, strict=True)]
    found = [compare(a, b) for a, b in zip(scores, alone, strict=True)]
    adjusted = benjamini_hochberg([one.p for one in found])
    return [
        {
            **row,
            "single_task": other.value,
            "delta": one.delta,
            "delta_ci95": [one.low, one.high],
            "p_adjusted": p,
            "verdict": corrected(one, p, other.value, row["metric"] not in LOWER_IS_BETTER),
        }
        for row, other, one, p in zip(rows, alone, found, adjusted, strict=True)
    ]


def corrected(found: Difference, p: float, alone: float, larger_is_better: bool) -> Verdict:
    """With enough rows the last digits of two trainings are a difference, too, and no verdict."""
    said = verdict(found.low, found.high, found.rows, larger_is_better=larger_is_better)
    real = p <= LEVEL and abs(found.delta) > ROUNDING * abs(alone)
    if said in ("helped", "hurt") and not real:
        return "no_difference"
    return said


def line_of(opened: Opened[MultiTaskModel], facts: dict[str, Any]) -> dict[str, Any]:
    """What the score file says of this evaluation, beside one value for each task."""
    what = {key: facts[key] for key in ("data_digest", "split", "split_seed")}
    return {
        "model": str(opened.path),
        **score_file.arm_of(opened.model),
        **what,
        "trained": trained_as(opened.model),
        "unit": "task",
        "metric": TASK_METRIC.get(facts["metric"], facts["metric"]),
        "units": score_file.units_hash(**what, tasks=facts["num_tasks"]),
        "mode": "inductive",
    }
