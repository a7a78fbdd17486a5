"""`evaluate` of a multi-task model: its score on rows that no training has read, and for each task
whether learning together helped."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from metacli.data.multi_task.dataset import SPLITS, MultiTaskRows
from metacli.data.plain import Record, record_in
from metacli.engine.events import Progress, Reporter
from metacli.engine.models.folder import load_multi_task
from metacli.engine.models.model import MultiTaskModel
from metacli.engine.models.opening import Opened
from metacli.engine.reporting.multi_task_plots import draw_deltas
from metacli.engine.results.base import Json
from metacli.engine.results.evaluate import Baseline, MultiTaskEvaluation, TaskScore
from metacli.engine.scoring import score_file
from metacli.engine.scoring.checks import LOWER_IS_BETTER
from metacli.engine.scoring.intervals import (
    Difference,
    Verdict,
    benjamini_hochberg,
    compared,
    detectable,
    verdict,
)
from metacli.engine.scoring.mean_difference import mean_difference, trained_as
from metacli.engine.scoring.multi_task_baselines import outside_predictions
from metacli.engine.scoring.multi_task_params import predictions
from metacli.engine.scoring.multi_task_scores import (
    TASK_METRIC,
    Rows,
    Score,
    compare,
    mean_r2,
    own_metric,
    score,
    task_score,
    within,
)
from metacli.engine.scoring.multi_task_tables import estimate
from metacli.engine.scoring.request import Request
from metacli.engine.training.multi_task.build import make_rows
from metacli.engine.training.multi_task.single_task import SINGLE
from metacli.errors import DataError, UsageProblem

LEVEL = 0.05
ROUNDING = 1e-3  # of a score: trainings of one network that differ by less than that are the same


def evaluate_tasks(opened: Opened[MultiTaskModel], request: Request) -> MultiTaskEvaluation:
    """The score on the rows that training left out, of all tasks and of each.

    Raises:
        DataError: the data are not those that the model was trained on.
        UsageProblem: no such split.
    """
    model, wanted = opened.model, request.wanted.split or "test"
    if wanted not in SPLITS:
        raise UsageProblem(f"--split is one of {', '.join(SPLITS)}, found {wanted}")
    rows = make_rows(model.recipe)
    require_same(model.provenance, rows)
    table, split_seed = rows.table, model.recipe.data.options.get("split_seed", 0)
    facts = MultiTaskEvaluation(
        metric=table.metric,
        data=model.recipe.data.source,
        split=wanted,
        split_seed=split_seed if isinstance(split_seed, int) else None,
        data_digest=rows.digest,
        num_tasks=len(table.tasks),
        statistics="train",
    )
    if request.dry_run:
        return replace(facts, dry_run=True)
    y = rows.numbers(wanted)[1]
    mine = predictions(model.problem(), model.params, rows, wanted)
    others = baselines(opened, rows, wanted, request.report)
    tasks = judged(table.metric, table.tasks, y, mine, others.get(SINGLE))
    line = line_of(opened, facts)
    result = replace(
        measured(facts, y, mine, others),
        tasks=tasks,
        together=mean_difference(tasks, rows, opened.run, line, request.report),
    )
    path = record(opened, request.out, line, result)
    plot = None
    if opened.run is not None:
        drawn = [one.as_dict() for one in tasks]
        plot = draw_deltas(opened.run, drawn, f"deltas-{wanted}", f"on {wanted} rows")
    return replace(result, plot=plot, scores=path)


def record(
    opened: Opened[MultiTaskModel],
    out: Path | None,
    line: Mapping[str, Json],
    result: MultiTaskEvaluation,
) -> Path:
    """One value for each task in the score file, which is returned."""
    path = score_file.place_for(opened.run, opened.path, out)
    score_file.record(path, line, np.array([task.value for task in result.tasks], float), result)
    return path


def measured(
    facts: MultiTaskEvaluation, y: Rows, mine: Rows, others: Mapping[str, Rows]
) -> MultiTaskEvaluation:
    """Over all tasks: the score, other readings of it, and every baseline for comparison."""
    metric = facts.metric
    made = score(metric, y, mine)
    shown = estimate(made)
    explains = metric == "explained_variance"  # nobody has to guess which reading is meant
    return replace(
        facts,
        mean=shown.mean,
        ci95=shown.ci95,
        rows=made.rows,
        inductive=shown,
        within_tasks=within(y, mine) if explains else None,
        mean_task_r2=mean_r2(y, mine) if explains else None,
        baselines={
            name: against(made, score(metric, y, found), metric) for name, found in others.items()
        },
    )


def against(made: Score, other: Score, metric: str) -> Baseline:
    """A baseline, and how the model differs from it: a positive `delta` is a larger score of the
    model."""
    larger = metric not in LOWER_IS_BETTER
    found = compared(compare(made, other), made.rows, larger_is_better=larger)
    return Baseline(estimate(other), against=found)


def require_same(provenance: Record, rows: MultiTaskRows) -> None:
    """Raises DataError where other rows would be called test rows than were left out."""
    trained = record_in(provenance, "data").get("digest")
    if trained is not None and trained != rows.digest:
        raise DataError(
            "the data or their splits are not those that the model was trained on",
            code="data.changed",
            where=rows.table.name,
            hint=f"metacli fetch {rows.table.name} --force",
        )


def baselines(
    opened: Opened[MultiTaskModel], rows: MultiTaskRows, split: str, report: Reporter
) -> dict[str, list[np.ndarray]]:
    """Predictions of the single-task model that the run trained, and of the simple models fitted
    again. Simple models are fitted to what the model itself was fitted to."""
    found = {}
    if opened.run is not None and (folder := opened.run / "baselines" / SINGLE).is_dir():
        single = load_multi_task(folder)
        found[SINGLE] = predictions(single.problem(), single.params, rows, split)
    train = ("train", "val") if split == "test" else ("train",)
    tick = lambda name: report(Progress(f"baseline {name}", 0, None))  # noqa: E731
    return found | dict(outside_predictions(rows, train, split, tick))


def judged(
    metric: str, names: Sequence[str], y: Rows, mine: Rows, single: Rows | None
) -> tuple[TaskScore, ...]:
    """Every task. The interval is the raw one; verdicts hold for all tasks together, with a false
    discovery rate of 5 % (Benjamini and Hochberg)."""
    own = [own_metric(metric, one) for one in mine]
    scores = [task_score(metric, a, b) for a, b in zip(y, mine, strict=True)]
    tasks = [
        TaskScore(name, by, one.value) for name, by, one in zip(names, own, scores, strict=True)
    ]
    if single is None:
        return tuple(tasks)
    alone = [task_score(metric, a, b) for a, b in zip(y, single, strict=True)]
    found = [compare(a, b) for a, b in zip(scores, alone, strict=True)]
    adjusted = benjamini_hochberg([one.p for one in found])
    return tuple(
        replace(
            task,
            single_task=other.value,
            delta=one.delta,
            delta_ci95=(one.low, one.high),
            p_adjusted=p,
            verdict=corrected(one, p, other, task.metric not in LOWER_IS_BETTER),
            detectable=detectable(one.low, one.high, one.freedom, len(found)),
        )
        for task, other, one, p in zip(tasks, alone, found, adjusted, strict=True)
    )


def corrected(found: Difference, p: float, alone: Score, larger_is_better: bool) -> Verdict:
    """With enough rows the last digits of two trainings are a difference, too, and no verdict."""
    said = verdict(found.low, found.high, alone.rows, larger_is_better=larger_is_better)
    real = p <= LEVEL and abs(found.delta) > ROUNDING * abs(alone.value)
    if said in ("helped", "hurt") and not real:
        return "no_difference"
    return said


def line_of(opened: Opened[MultiTaskModel], facts: MultiTaskEvaluation) -> dict[str, Json]:
    """The line of the score file for this evaluation, without its values."""
    what: dict[str, Json] = {
        "data_digest": facts.data_digest,
        "split": facts.split,
        "split_seed": facts.split_seed,
    }
    return {
        "model": str(opened.path),
        **score_file.arm_of(opened.model),
        **what,
        "trained": trained_as(opened.model),
        "unit": "task",
        "metric": TASK_METRIC.get(facts.metric, facts.metric),
        "units": score_file.units_hash(**what, tasks=facts.num_tasks),
        "mode": "inductive",
    }
