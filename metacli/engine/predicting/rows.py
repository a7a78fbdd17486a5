"""An adapted model on a user's rows: probabilities, and their score where labels are known."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from metacli.data.user.loading import Examples
from metacli.data.user.open import Reading, load_task
from metacli.engine.adapting.held_out import HeldOut, confusion, score_of, score_of_numbers
from metacli.engine.events import Notice, Progress, Reporter
from metacli.engine.models.hashes import example_hash
from metacli.engine.models.model import AdaptedModel
from metacli.engine.models.opening import Opened
from metacli.engine.scoring import score_file
from metacli.errors import DataError
from metacli.nn.problem import channels_last

ROWS = 64  # at a time


@torch.no_grad()
def probabilities(model: AdaptedModel, x: Tensor) -> Tensor:
    """[M, N] for inputs [M, ...]; row by row, whatever stands beside a row."""
    return calibrated(model, outputs(model, x))


def calibrated(model: AdaptedModel, logits: Tensor) -> Tensor:
    """Probabilities [M, N] of logits."""
    return torch.softmax(logits / model.confidence.temperature, 1)


@torch.no_grad()
def outputs(model: AdaptedModel, x: Tensor) -> Tensor:
    """Logits [M, N], or the numbers of a regression as the network gives them, [M, 1]."""
    problem, learner = model.problem(), model.learner()
    return torch.cat(
        [learner.predict(problem, model.params, part) for part in channels_last(x).split(ROWS)]
    )


def evaluate_rows(
    opened: Opened[AdaptedModel],
    data: str,
    reading: Reading,
    out: str | None,
    dry_run: bool,
    report: Reporter,
) -> dict[str, Any]:
    """Accuracy on labelled pictures, texts or rows, or the absolute error of numbers: on the query
    of a task that has one, otherwise on all of it."""
    model = opened.model
    task = load_task(
        Path(data),
        model.inputs.wanted(model.columns),
        choice=reading.choice,
        skip_bad=reading.skip_bad,
        allow_duplicates=reading.allow_duplicates,
        one_class=True,
        report=lambda what, done, total: report(Progress(what, done, total)),
    )
    for finding in task.findings:
        report(
            Notice(
                finding.message
                if finding.where is None
                else f"{finding.message} - {finding.where}",
                finding.code,
            )
        )
    rows = task.support if task.query is None else task.query
    require_new(model, rows, data, reading.allow_duplicates, report)
    regression = model.kind == "regression"
    if regression:
        assert rows.y is not None
        classes: tuple[str, ...] = ()
        y = model.inputs.unscaled.encode(rows.y)
    else:
        assert model.classes is not None
        classes = model.classes
        y = labels_of(rows, task.labels, classes, data)
    digest = digest_of(rows)
    facts = {"split": None, "data_digest": digest, "query": len(y), "way": len(classes) or None}
    metric = "mae" if regression else "accuracy"
    if dry_run:
        return {"metric": metric, "mean": None, "ci95": None, **facts, "dry_run": True}
    x = on_device_of(model, rows.x)
    answer = outputs(model, x) if regression else probabilities(model, x)
    unit = model.inputs.unscaled.scale if regression else None
    found = HeldOut(answer.cpu().numpy(), y, (len(y),), unit)
    score: dict[str, Any]
    if regression:
        score = vars(score_of_numbers(found, "query", task.unit or model.columns.unit))
    else:
        score = vars(score_of(found, "query", len(classes)))
    path = score_file.place_for(opened.run, opened.path, out)
    units = score_file.units_hash(data_digest=digest, rows=list(rows.names))
    line = {
        "model": str(opened.path),
        **facts,
        "unit": "example",
        "metric": metric,
        "units": units,
    }
    half = (score["high"] - score["low"]) / 2
    estimate = {"mean": score["value"], "ci95": half, "n": len(y)}
    said = {
        "metric": metric,
        "mean": score["value"],
        "ci95": half,
        "low": score["low"],
        "high": score["high"],
        "inductive": estimate,
        "transductive": None,
        "balanced_accuracy": score.get("balanced"),
        "macro_f1": score.get("macro_f1"),
        "log_loss": None if regression else mean_log_loss(found),
        "rmse": score.get("rmse"),
        "r2": score.get("r2"),
        "unit": score.get("unit"),
        "episodes": None,
        "episodes_seed": None,
        "scheme": None,
        "shot": None,
        "statistics": model.problem().statistics,
        "chance": 1 / len(classes) if classes else None,
        "baselines": {},
        "per_step": [],
        "curve": [],
        "tasks": [],
        "confusion": confusion(found, len(classes)) if classes else None,
        "labels": list(classes),
        "expect": None,
        **facts,
    }
    score_file.record(path, {**line, "mode": "inductive"}, found.hits, said)
    return {**said, "scores": str(path)}


def on_device_of(model: AdaptedModel, x: np.ndarray) -> Tensor:
    return torch.from_numpy(x).to(next(iter(model.params.values())).device)


def require_new(
    model: AdaptedModel, rows: Examples, data: str, allow_duplicates: bool, report: Reporter
) -> None:
    """Raises DataError for pictures that the model was adapted on: its accuracy on those is no
    result."""
    known = set(model.support)
    again = [name for name, x in zip(rows.names, rows.x, strict=True) if example_hash(x) in known]
    if not again:
        return
    shown = ", ".join(again[:5]) + (", ..." if len(again) > 5 else "")
    message = f"{len(again)} of {len(rows.names)} examples are ones the model was adapted on"
    if model.inputs.kind == "numbers":  # rows of few columns may well be equal by chance
        report(Notice(message.replace("are ones", "are equal to ones"), "data.adapted_on"))
        return
    if not allow_duplicates:
        raise DataError(
            f"{message}: {shown}",
            code="data.adapted_on",
            where=data,
            hint="give it others; --allow-duplicates goes on all the same",
        )
    report(Notice(f"{message}: the accuracy is too good to be true", "data.adapted_on"))


def labels_of(
    rows: Examples, labels: tuple[str, ...], classes: tuple[str, ...], data: str
) -> np.ndarray:
    """Labels as the model numbers them. Raises DataError for one that it was not adapted to."""
    unknown = sorted(set(labels) - set(classes))
    if unknown:
        raise DataError(
            f"class {unknown[0]!r} is not one of the model's: {', '.join(classes[:10])}",
            code="data.unknown_class",
            where=data,
            hint="leave it out, or add it with examples of its own: metacli adapt MODEL MORE --add",
        )
    assert rows.y is not None
    numbers = np.array([classes.index(label) for label in labels])
    return numbers[rows.y]


def mean_log_loss(found: HeldOut) -> float:
    """Of the probabilities as `predict` gives them; an impossible right answer counts as one of
    10^-12."""
    right = found.probabilities[np.arange(len(found.y)), found.y].astype(np.float64)
    return -float(np.log(np.maximum(right, 1e-12)).mean())


def digest_of(rows: Examples) -> str:
    """SHA-256 of the decoded rows and their labels."""
    whole = hashlib.sha256(np.ascontiguousarray(rows.x).tobytes())
    if rows.y is not None:
        whole.update(rows.y.tobytes())
    return whole.hexdigest()
