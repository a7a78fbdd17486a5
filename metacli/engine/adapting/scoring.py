"""How good an adapted model is, and whether its source helps: every example that is scored was held
out of what the model adapted to."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from metacli.algorithms.transfer.fine_tune import FineTune
from metacli.algorithms.transfer.transfer import Transfer
from metacli.data.user.open import Task
from metacli.engine.adapting.calibration import (
    Answer,
    answered,
    learned_from,
)
from metacli.engine.adapting.folds import (
    HeldOut,
    Predict,
    Split,
    compare,
    confusion,
    held_out,
    logistic_on_raw,
    majority,
    mean_of_support,
    repeated_folds,
    residual_bound,
    ridge_on_raw,
    score_of,
    score_of_numbers,
    stratified_folds,
    times_and_rows,
)
from metacli.engine.adapting.folds import (
    holdout as hold_share,
)
from metacli.engine.adapting.reading import Job, Read, described
from metacli.engine.adapting.source import Source
from metacli.engine.adapting.transfer import from_scratch, settled
from metacli.engine.models.parts import UNKNOWN, Confidence
from metacli.nn.problem import Problem
from metacli.types import Batch

SCRATCH = FineTune(lr=1e-3, steps=200, head_rate=1.0)
FEWEST = 10  # held-out examples from which a threshold or an interval is told
LOGISTIC = "logistic regression on raw pixels"
SIMPLE = {"image": LOGISTIC, "text": "logistic regression on the same n-grams"}
COLUMNS = "logistic regression on the same columns"
RIDGE = "ridge regression on the same columns"


def native(source: Source, classes: int) -> Predict:
    """`answers_of` as probabilities; of a regression the numbers themselves."""
    if source.kind == "regression":
        return numbers_by(source)
    answer = answers_of(source, classes)
    return lambda support, x: torch.softmax(answer(support, x), 1)


def answers_of(source: Source, classes: int) -> Answer:
    """The source's own adaptation, or the way of transfer in its place, as a function of a support.
    What that picks by validation it picks inside the support."""
    return adapting(source, source.problem(classes))


def numbers_by(source: Source) -> Predict:
    """The source's own adaptation, or a way of transfer, to numbers, [M, 1] as the network gives
    them."""
    return adapting(source, source.problem())


def adapting(source: Source, problem: Problem) -> Answer:
    """Adapts anew to each support, and answers with what the network gives."""

    @torch.no_grad()
    def answer(support: Batch, x: Tensor) -> Tensor:
        learner = settled(source.learner, problem, source.params, source.state, support)
        phi = learner.adapt(problem, source.params, support, source.state)
        return torch.cat([learner.predict(problem, phi, part) for part in x.split(64)])

    return answer


def scratch(source: Source, seed: int) -> Predict:
    """The same network, trained on the support alone from random weights."""
    problem = replace(source, method="fine-tune", options={}).problem()
    if problem.statistics == "running":  # random weights have none yet
        problem = replace(problem, statistics="support")
    start = from_scratch(problem, source.params, seed)
    classifies = source.kind == "classification"

    @torch.no_grad()
    def predict(support: Batch, x: Tensor) -> Tensor:
        phi = SCRATCH.adapt(problem, start, support, {})
        found = torch.cat([SCRATCH.predict(problem, phi, part) for part in x.split(64)])
        return torch.softmax(found, 1) if classifies else found

    return predict


def splits_of(job: Job, examples: Read) -> tuple[list[Split], str, str | None]:
    """How the score is obtained: splits of the support, its name, and why there is none."""
    y = examples.y.cpu().numpy()
    if examples.task.type == "regression":  # every row may stand anywhere
        y = np.zeros(len(y), int)
    if job.holdout is not None:
        splits = hold_share(y, job.holdout, job.seed)
        return (
            splits,
            f"holdout:{job.holdout:g}",
            None if splits else "every class has a single example",
        )
    folds = dealt(job.source)(y, job.seed)
    if folds:
        times, _ = times_and_rows(folds)
        return folds, f"kfold:{len(folds) // times}", None
    return (
        [],
        "none",
        "a class has a single example, so nothing can be held out; add pictures or a query/ folder",
    )


def dealt(source: Source) -> Callable[[np.ndarray, int], list[Split]]:
    """How folds are dealt: once where the whole network is trained in each, under every setting."""
    trains = isinstance(source.learner, Transfer) and not source.learner.frozen
    return stratified_folds if trains else repeated_folds


def measured(job: Job, examples: Read, baseline: bool) -> tuple[dict[str, Any], Confidence]:
    """Score, transfer verdict and what `predict` needs to reject, from held-out examples."""
    classes = len(examples.task.labels)
    unit = unit_of(job.source)
    result: dict[str, Any] = {"task": described(examples)}
    splits, how, why = splits_of(job, examples)
    folds, confidence = held_out_of_support(job.source, examples, splits, unit)
    known = confidence.as_dict()
    result |= {"calibration": known.get("calibration"), "reject": known.get("reject")}
    if examples.query is not None and job.holdout is None:
        how, why = "query", None
        run = lambda one: on_query(one, examples, unit)  # noqa: E731
        folds = run(native(job.source, classes))
    else:
        run = lambda one: held_out(one, examples.x, examples.y, splits, unit)  # noqa: E731
    if folds is None:
        result |= {"score": no_score(examples.task, why), "transfer": no_verdict()}
        return result, confidence
    if unit is not None:
        result["score"] = score_of_numbers(folds, how, examples.task.unit)
    else:
        result["score"] = {**score_of(folds, how, classes), "confusion": confusion(folds, classes)}
    named = simple_models(job.source, classes)
    others = {name: run(one) for name, one in named.items()}
    if baseline:
        others["the same network from scratch"] = run(scratch(job.source, job.seed))
    compared = {name: compare(folds, other, name, how) for name, other in others.items()}
    names = list(others)
    best = names[0]
    if baseline:
        best = max(names[::2], key=lambda name: others[name].quality.mean())
    result["transfer"] = {**compared[best], "all": list(compared.values())}
    return result, confidence


def held_out_of_support(
    source: Source, examples: Read, splits: Sequence[Split], unit: float | None
) -> tuple[HeldOut | None, Confidence]:
    """Predictions on the support's held-out examples, and what they say about later answers."""
    if not splits:
        return None, UNKNOWN
    classes = len(examples.task.labels)
    if unit is not None:
        folds = held_out(native(source, classes), examples.x, examples.y, splits, unit)
        return folds, Confidence(
            residual=residual_bound(folds) if folds.examples >= FEWEST else None
        )
    asked = answered(answers_of(source, classes), examples.x, examples.y, splits)
    return asked.held_out(), learned_from(asked)


def unit_of(source: Source) -> float | None:
    """What the network's 1 is in the units of the user; None for classes."""
    return source.inputs.unscaled.scale if source.kind == "regression" else None


def simple_models(source: Source, classes: int) -> dict[str, Predict]:
    """What needs no source; the first is what the source has to beat."""
    if source.kind == "regression":
        return {RIDGE: ridge_on_raw, "mean of the support": mean_of_support}
    name = SIMPLE.get(source.inputs.kind, COLUMNS)
    return {name: logistic_on_raw(classes), "majority class": majority(classes)}


def no_score(task: Task, why: str | None) -> dict[str, Any]:
    chance = 1 / len(task.labels) if task.labels else None
    blank = {"value": None, "low": None, "high": None, "how": "none", "why": why}
    return {"metric": "accuracy" if task.labels else "mae", **blank, "chance": chance}


def on_query(predict: Predict, examples: Read, unit: float | None = None) -> HeldOut:
    assert examples.query is not None
    found = predict(Batch(examples.x, examples.y), examples.query.x)
    y = examples.query.y.cpu().numpy().reshape(-1)
    return HeldOut(found.cpu().numpy(), y, (len(y),), unit)


def no_verdict() -> dict[str, Any]:
    return {
        "baseline": None,
        "delta": None,
        "delta_ci95": None,
        "verdict": "too_few_to_say",
        "all": [],
    }
