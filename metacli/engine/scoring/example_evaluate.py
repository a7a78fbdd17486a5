"""`evaluate` of an adapted model: its score on labelled examples."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from metacli.data.user.loading import Examples
from metacli.data.user.open import Task, load_task
from metacli.data.user.ordering import autocorrelation, ranks
from metacli.engine.adapting.held_out import HeldOut, confusion, score_of, score_of_numbers
from metacli.engine.adapting.splits import LAST
from metacli.engine.events import Notice, Progress, Reporter, report_findings
from metacli.engine.models.model import AdaptedModel
from metacli.engine.models.opening import Opened
from metacli.engine.predicting.example_predict import intervals
from metacli.engine.predicting.outside import outside
from metacli.engine.predicting.rows import on_device_of, outputs, probabilities
from metacli.engine.predicting.together import answers_together, outputs_together
from metacli.engine.results.base import Json
from metacli.engine.results.evaluate import ExampleEvaluation
from metacli.engine.scoring import score_file
from metacli.engine.scoring.examples import digest_of, labels_of, mean_log_loss, require_new
from metacli.engine.scoring.intervals import Estimate, wilson
from metacli.engine.scoring.request import Request
from metacli.errors import DataError


@torch.no_grad()
def evaluate_examples(
    opened: Opened[AdaptedModel], data: str, request: Request
) -> ExampleEvaluation:
    """Accuracy on labelled images, texts or rows, or the absolute error of a regression: on the
    query of a task that has one, otherwise on all of it.

    Raises:
        DataError: nothing that can be read, classes that the model does not know, or examples that
            it was adapted on.
    """
    asked = in_order(read(opened.model, data, request), request)
    facts = ExampleEvaluation(
        metric=asked.metric,
        data_digest=digest_of(asked.rows),
        query=len(asked.y),
        way=len(asked.classes) or None,
    )
    if request.dry_run:
        return replace(facts, dry_run=True)
    found = answered(opened.model, asked)
    facts = replace(facts, statistics=opened.model.problem().statistics)
    if asked.classes:
        result = with_together(of_classes(facts, found, asked.classes), opened.model, asked)
    else:
        result = of_numbers(facts, found, asked.task.unit or opened.model.columns.unit)
        covered = coverage_of(opened.model, asked)
        result = replace(result, coverage=covered.coverage, level=covered.level)
        if request.order is None:
            report_neighbours(found, request.report)
    path = score_file.place_for(opened.run, opened.path, request.out)
    units = score_file.units_hash(data_digest=facts.data_digest, rows=list(asked.rows.names))
    line: dict[str, Json] = {
        "model": str(opened.path),
        **{key: facts[key] for key in ("split", "data_digest", "query", "way", "metric")},
        "unit": "example",
        "units": units,
        "mode": "inductive",
    }
    score_file.record(path, line, found.hits, result)
    return replace(result, scores=path)


@dataclass(frozen=True)
class Coverage:
    """The share of the rows that lie within the intervals that `predict` gives, and the share that
    these are made to hold; None of a model without them."""

    coverage: float | None = None
    level: float | None = None


def coverage_of(model: AdaptedModel, asked: Asked) -> Coverage:
    """Measured as `predict` answers, rows outside of what the model has seen included."""
    residual = model.confidence.residual
    if residual is None:
        return Coverage()
    x = on_device_of(model, asked.rows.x)
    far = outside(asked.rows.x, model.confidence.span, model.inputs.encoder)
    _, low, high = intervals(model, x, far)
    y = model.inputs.unscaled.decode(asked.y)
    return Coverage(float(((low <= y) & (y <= high)).mean()), residual.coverage)


def report_neighbours(found: HeldOut, report: Reporter) -> None:
    """Says where rows that follow each other err alike."""
    near = autocorrelation(found.residuals)
    if near is not None:
        message = (
            f"the rows look ordered: neighbours err alike (autocorrelation {near:.2f}), so the "
            "interval, which counts each row by itself, is too narrow; --order rows measures the "
            "last rows alone"
        )
        report(Notice(message, "evaluate.ordered"))


def in_order(asked: Asked, request: Request) -> Asked:
    """The last rows alone where an order is given. Raises DataError where the rows have none."""
    if request.order is None:
        return asked
    if asked.task.query is not None or asked.task.table is None:
        why = "the task has a query of its own" if asked.task.query else "it is not one table"
        raise DataError(
            f"--order measures the last rows of a table, and {why}",
            code="data.no_order",
            where=str(asked.task.path),
            hint="leave out --order",
        )
    at = ranks(asked.task.table, request.order)[-max(1, round(LAST * len(asked.y))) :]
    rows = asked.rows
    part = Examples(
        rows.x[at], tuple(rows.names[one] for one in at), None if rows.y is None else rows.y[at]
    )
    return replace(asked, rows=part, y=asked.y[at])


@dataclass(frozen=True)
class Asked:
    """Labelled examples; `y` as the model numbers its classes, or in units of its scale.

    Args:
        classes: () for a regression.
    """

    task: Task
    rows: Examples
    y: np.ndarray
    classes: tuple[str, ...]

    @property
    def metric(self) -> str:
        return "accuracy" if self.classes else "mae"


def read(model: AdaptedModel, data: str, request: Request) -> Asked:
    """The examples and their labels. Raises DataError."""
    task = load_task(
        Path(data),
        model.inputs.wanted(model.columns),
        choice=request.reading.choice,
        skip_bad=request.reading.skip_bad,
        allow_duplicates=request.reading.allow_duplicates,
        one_class=True,
        report=lambda what, done, total: request.report(Progress(what, done, total)),
    )
    report_findings(task.findings, request.report)
    rows = task.support if task.query is None else task.query
    require_new(model, rows, data, request.reading.allow_duplicates, request.report)
    if model.classes is None:
        assert rows.y is not None  # a task has labels
        return Asked(task, rows, model.inputs.unscaled.encode(rows.y), ())
    return Asked(task, rows, labels_of(rows, task.labels, model.classes, data), model.classes)


def answered(model: AdaptedModel, asked: Asked) -> HeldOut:
    """The model's answers to the examples, with their labels."""
    x = on_device_of(model, asked.rows.x)
    answer = probabilities(model, x) if asked.classes else outputs(model, x)
    unit = None if asked.classes else model.inputs.unscaled.scale
    return HeldOut(answer.cpu().numpy(), asked.y, (len(asked.y),), unit)


def of_classes(
    facts: ExampleEvaluation, found: HeldOut, classes: tuple[str, ...]
) -> ExampleEvaluation:
    """Accuracy with Wilson's interval, and what counts every class the same."""
    score = score_of(found, "query", len(classes))
    return replace(
        with_interval(facts, score.value, score.low, score.high, len(found.y)),
        balanced_accuracy=score.balanced,
        macro_f1=score.macro_f1,
        log_loss=mean_log_loss(found),
        chance=1 / len(classes),
        confusion=confusion(found, len(classes)),
        labels=classes,
    )


def with_together(
    result: ExampleEvaluation, model: AdaptedModel, asked: Asked
) -> ExampleEvaluation:
    """Beside it the accuracy of answers for all examples together, of a method that gives them."""
    if not answers_together(model):
        return result
    logits = outputs_together(model, on_device_of(model, asked.rows.x))
    hits = (logits.argmax(1).cpu().numpy() == asked.y).astype(float)
    low, high = wilson(float(hits.sum()), len(hits))
    return replace(result, transductive=Estimate(float(hits.mean()), (high - low) / 2, len(hits)))


def of_numbers(facts: ExampleEvaluation, found: HeldOut, unit: str | None) -> ExampleEvaluation:
    """Mean absolute error in the user's unit."""
    score = score_of_numbers(found, "query", unit)
    return replace(
        with_interval(facts, score.value, score.low, score.high, len(found.y)),
        rmse=score.rmse,
        r2=score.r2,
        unit=score.unit,
    )


def with_interval(
    facts: ExampleEvaluation, value: float, low: float | None, high: float | None, n: int
) -> ExampleEvaluation:
    """The score, and half of its interval for those who want one number."""
    half = math.nan if low is None or high is None else (high - low) / 2
    estimate = Estimate(value, half, n)
    return replace(facts, mean=value, ci95=half, low=low, high=high, inductive=estimate)
