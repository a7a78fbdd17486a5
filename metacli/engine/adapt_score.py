"""How good an adapted model is, and whether its source helps: every example that is scored was held
out of what the model adapted to."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from metacli.engine.adapt_read import Job, Read, Source, described
from metacli.engine.calibration import (
    Answer,
    answered,
    class_means,
    distance,
    learned_from,
)
from metacli.engine.folds import (
    HeldOut,
    Predict,
    Split,
    compare,
    confusion,
    held_out,
    logistic_on_raw,
    majority,
    score_of,
    stratified_folds,
)
from metacli.engine.folds import (
    holdout as hold_share,
)
from metacli.engine.transfer import settled
from metacli.nn.logistic import fit_scratch
from metacli.types import Batch

LOGISTIC = "logistic regression on raw pixels"


def native(source: Source, classes: int) -> Predict:
    """`answers_of` as probabilities."""
    answer = answers_of(source, classes)
    return lambda support, x: torch.softmax(answer(support, x)[0], 1)


def answers_of(source: Source, classes: int) -> Answer:
    """The source's own adaptation, or the way of transfer in its place, as a function of a support.
    What that picks by validation it picks inside the support."""
    model = replace(source.model, classes=tuple(map(str, range(classes))))
    problem = model.problem()

    @torch.no_grad()
    def answer(support: Batch, x: Tensor) -> tuple[Tensor, Tensor]:
        learner = settled(source.learner, problem, model.params, model.state, support)
        phi = learner.adapt(problem, model.params, model.state, support)
        logits = torch.cat([learner.predict(problem, phi, part) for part in x.split(64)])
        return logits, distance(problem, phi, class_means(problem, phi, support), x)

    return answer


def scratch(source: Source, classes: int, seed: int) -> Predict:
    """The same network, trained on the support alone."""
    problem = source.model.problem()

    def predict(support: Batch, x: Tensor) -> Tensor:
        network = fit_scratch(
            problem.module, problem.features, support.x, support.y, classes, seed=seed
        )
        with torch.no_grad():
            return torch.softmax(network(x), 1)

    return predict


def splits_of(job: Job, examples: Read) -> tuple[list[Split], str, str | None]:
    """How the score is obtained: splits of the support, its name, and why there is none."""
    y = examples.y.cpu().numpy()
    if job.holdout is not None:
        splits = hold_share(y, job.holdout, job.seed)
        return (
            splits,
            f"holdout:{job.holdout:g}",
            None if splits else "every class has a single example",
        )
    folds = stratified_folds(y, job.seed)
    if folds:
        return folds, f"kfold:{len(folds)}", None
    return (
        [],
        "none",
        "a class has a single example, so nothing can be held out; add pictures or a query/ folder",
    )


def measured(job: Job, examples: Read, baseline: bool) -> tuple[dict[str, Any], dict[str, Any]]:
    """Score, transfer verdict and what `predict` needs to reject, from held-out examples."""
    task = examples.task
    classes = len(task.labels)
    result: dict[str, Any] = {"task": described(examples)}
    splits, how, why = splits_of(job, examples)
    asked = None
    if splits:
        asked = answered(answers_of(job.source, classes), examples.x, examples.y, splits)
    folds = None if asked is None else asked.held_out()
    answers = learned_from(asked)
    result |= {"calibration": answers.get("calibration"), "reject": answers.get("reject")}
    if examples.query is not None and job.holdout is None:
        how, why = "query", None
        run = lambda one: on_query(one, examples)  # noqa: E731
        folds = run(native(job.source, classes))
    else:
        run = lambda one: held_out(one, examples.x, examples.y, splits)  # noqa: E731
    if folds is None:
        score = {
            "metric": "accuracy",
            "value": None,
            "low": None,
            "high": None,
            "how": "none",
            "why": why,
        }
        result |= {"score": {**score, "chance": 1 / classes}, "transfer": no_verdict()}
        return result, answers
    result["score"] = {**score_of(folds, how, classes), "confusion": confusion(folds, classes)}
    others = {LOGISTIC: run(logistic_on_raw(classes)), "majority class": run(majority(classes))}
    if baseline:
        others["the same network from scratch"] = run(scratch(job.source, classes, job.seed))
    compared = {name: compare(folds, other, name, how) for name, other in others.items()}
    best = (
        LOGISTIC
        if not baseline
        else max(list(others)[::2], key=lambda name: others[name].hits.mean())
    )
    result["transfer"] = {**compared[best], "all": list(compared.values())}
    return result, answers


def on_query(predict: Predict, examples: Read) -> HeldOut:
    assert examples.query is not None
    found = predict(Batch(examples.x, examples.y), examples.query.x)
    y = examples.query.y.cpu().numpy()
    return HeldOut(found.cpu().numpy(), y, (len(y),))


def no_verdict() -> dict[str, Any]:
    return {
        "baseline": None,
        "delta": None,
        "delta_ci95": None,
        "verdict": "too_few_to_say",
        "all": [],
    }
