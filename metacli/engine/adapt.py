"""`adapt`: use what was learned on a user's own few examples. The source model is never changed."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from metacli.data.task import Task, load_task
from metacli.engine import bundle, journal
from metacli.engine.build import make_options
from metacli.engine.bundle import Bundle
from metacli.engine.checks import parse_checks, require_checks, require_known
from metacli.engine.events import Notice, Progress, Reporter, ignore
from metacli.engine.folds import (
    HeldOut,
    Predict,
    Split,
    compare,
    held_out,
    logistic_on_raw,
    majority,
    rejection_threshold,
    score_of,
    stratified_folds,
)
from metacli.engine.folds import (
    holdout as hold_share,
)
from metacli.engine.models import Opened, open_model
from metacli.engine.place import RUNS, new_folder, require_device
from metacli.engine.place import target as target_folder
from metacli.engine.rows import picture_hash
from metacli.errors import DataError, Finding, UsageProblem
from metacli.nn.logistic import fit_scratch
from metacli.schema.load import Loaded
from metacli.types import Batch

METHODS = ("native", "prototype")
LOGISTIC = "logistic regression on raw pixels"


def adapt(
    model: str | Sequence[str],
    task: str,
    overrides: Sequence[str] = (),
    *,
    method: str = "native",
    target: str | None = None,
    input: str | None = None,
    type: str | None = None,
    holdout: float | None = None,
    baseline: bool = False,
    add: bool = False,
    skip_bad: bool = False,
    allow_duplicates: bool = False,
    fail_under: Sequence[str] = (),
    fail_over: Sequence[str] = (),
    out: str | None = None,
    force: bool = False,
    device: str = "auto",
    seed: int | None = None,
    dry_run: bool = False,
    report: Reporter = ignore,
) -> dict[str, Any]:
    """Adapt a model to a folder of class folders, and say how good it is and whether the source
    helps.

    Args:
        model: one or more; several are ranked on the support and the best is adapted.
        overrides: fields of the learner, such as `inner_steps=10`.
        method: `native` (the learner's own) or `prototype` (class means of its features).
        holdout: share of the support to score on, instead of k-fold.
        baseline: also train the same network from scratch.
        out: the new model's folder; default `runs/adapted/<task>/<UTC time>`.

    Returns:
        The `result` of the command line's JSON document.

    Raises:
        DataError: problems in the task, all of them listed, before any work.
        CheckFailed: the score is not what was asked for; the model is written all the same.
    """
    refuse_what_is_not_there(method, target, input, type, add)
    checks = parse_checks(fail_under, fail_over)
    place = require_device(device)
    require_known(checks, ("accuracy",))
    if holdout is not None and not 0 < holdout < 1:
        raise UsageProblem(f"--holdout wants a share between 0 and 1, found {holdout:g}")
    names = [model] if isinstance(model, str) else list(model)
    sources = [prepared(open_model(name, place, report), overrides, method) for name in names]
    folder = target_folder(
        out, new_folder(RUNS / "adapted" / Path(task).absolute().name), force=force
    )
    job = Job(Path(task), sources[0], holdout, seed or 0, place, report)
    ranked = rank(sources, job, skip_bad, allow_duplicates) if len(sources) > 1 else []
    if ranked:
        job = replace(job, source=ranked[0][0])
    examples = read(job, skip_bad, allow_duplicates)
    require_classes(job.source, examples.task)
    result, answers = measured(job, examples, baseline)
    result |= {
        "model": str(folder),
        "from": str(job.source.opened.path),
        "method": method,
        "sources": [{"model": str(one.opened.path), "score": score} for one, score in ranked],
        "device": str(place),
    }
    if dry_run:
        return {**result, "model": None, "dry_run": True}
    bundle.save(adapted(job, examples, method, result, answers, folder), folder, replace=force)
    if result["score"]["value"] is not None:
        require_checks(checks, {"accuracy": result["score"]["value"]}, result)
    elif checks:
        raise UsageProblem(
            f"no score to check: {result['score']['why']}",
            hint="add a query/ folder",
            result=result,
        )
    return result


def refuse_what_is_not_there(
    method: str, target: str | None, input: str | None, type: str | None, add: bool
) -> None:
    """Options of the contract whose data this version does not read. Raises UsageProblem."""
    if method not in METHODS:
        raise UsageProblem(
            f"method {method} is not in this version", hint=f"there are {', '.join(METHODS)}"
        )
    for name, value in {"--target": target, "--input": input}.items():
        if value is not None:
            raise UsageProblem(f"{name} is for tables; this version reads folders of pictures")
    if type not in (None, "classification"):
        raise UsageProblem("folders of classes are classification")
    if add:
        raise UsageProblem(
            "--add is not in this version", hint="adapt again with all examples in one folder"
        )


@dataclass(frozen=True)
class Source:
    """A model to adapt, and the learner that does it."""

    opened: Opened
    learner: Any
    model: Bundle


@dataclass(frozen=True)
class Job:
    task: Path
    source: Source
    holdout: float | None
    seed: int
    device: torch.device
    report: Reporter


@dataclass(frozen=True)
class Read:
    """The task's pictures as tensors."""

    task: Task
    x: Tensor
    y: Tensor
    query: Batch | None


def prepared(opened: Opened, overrides: Sequence[str], method: str) -> Source:
    """The model with the fields of its learner that the command line changes."""
    model = opened.model
    if model.adapted:
        raise DataError(
            "this model is adapted already",
            code="model.adapted",
            where=str(opened.path),
            hint="adapt the model that it came from: metacli inspect names it",
        )
    if model.kind != "classification":
        raise DataError(
            f"a {model.kind} model of {model.recipe.data.source} cannot take folders of pictures",
            code="model.kind",
            where=str(opened.path),
            hint="metacli recipes lists models for pictures",
        )
    if method == "prototype":
        model = replace(model, method="prototype")
    if overrides:
        model = with_fields(model, overrides)
    return Source(opened, model.learner(), model)


def with_fields(model: Bundle, overrides: Sequence[str]) -> Bundle:
    """The learner's fields replaced, checked as a recipe's are."""
    from metacli.schema.yaml import read_value

    recipe = model.recipe
    fields: dict[str, Any] = {}
    for text in overrides:
        key, equals, value = text.partition("=")
        if not equals:
            raise UsageProblem(f"{text!r} is not KEY=VALUE", hint="such as inner_steps=10")
        fields[key.removeprefix("algorithm.")] = read_value(value, "command line")
    loaded = Loaded(recipe, "model", None, "", "command line", overridden=frozenset())
    learner = model.learner()
    current = {field.name: getattr(learner, field.name) for field in dataclasses.fields(learner)}
    findings: list[Finding] = []
    made = make_options(learner.__class__, {**current, **fields}, "algorithm", loaded, findings)
    if made is not None:
        findings += head_problems(learner, made, model.way, loaded)
    if findings:
        raise loaded.error(findings)
    evaluate = recipe.evaluate.model_copy(update={"replace": {**recipe.evaluate.replace, **fields}})
    return replace(model, recipe=recipe.model_copy(update={"evaluate": evaluate}))


def head_problems(before: Any, after: Any, way: int, loaded: Loaded) -> list[Finding]:
    """A head can be left out, but not be had where none was trained."""
    wanted = after.head_size(way)
    if wanted is None or wanted == before.head_size(way):
        return []
    message = f"algorithm.head={after.head} needs a head that this model was not trained with"
    return [loaded.finding("algorithm.head", message, code="recipe.value", hint="train it so")]


def read(job: Job, skip_bad: bool, allow_duplicates: bool) -> Read:
    """Decode the task for the source's input. Raises DataError with every problem."""
    task = load_task(
        job.task,
        job.source.model.inputs.image(),
        skip_bad=skip_bad,
        allow_duplicates=allow_duplicates,
        report=lambda what, done, total: job.report(Progress(what, done, total)),
    )
    for finding in task.findings:
        where = "" if finding.where is None else f" - {finding.where}"
        job.report(Notice(f"{finding.message}{where}", finding.code))
    warn_about_paper(job, task)
    assert task.support.y is not None
    query = None
    if task.query is not None and task.query.y is not None:
        query = Batch(tensor(task.query.x, job), tensor(task.query.y, job))
    return Read(task, tensor(task.support.x, job), tensor(task.support.y, job), query)


def tensor(values: np.ndarray, job: Job) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(values)).to(job.device)


def warn_about_paper(job: Job, task: Task) -> None:
    """A model of dark strokes on light paper sees nothing sensible in light strokes on dark."""
    if job.source.model.inputs.invert and float(task.support.x.mean()) < 100:
        job.report(
            Notice(
                "these pictures are mostly dark, and the model was trained on dark strokes on "
                "light paper: invert them",
                "adapt.dark_paper",
            )
        )


def require_classes(source: Source, task: Task) -> None:
    """Raises DataError when a fixed head meets another number of classes."""
    fixed = not source.learner.any_way
    if fixed and len(task.labels) != source.model.way:
        raise DataError(
            f"{source.model.recipe.algorithm.name} has a head of {source.model.way} classes, "
            f"{task.path} has {len(task.labels)}",
            code="model.fixed_way",
            where=str(task.path),
            hint="--method prototype takes any number; so do models of protonet and of "
            "algorithm.head=proto",
        )


def native(source: Source, classes: int) -> Predict:
    """The source's own adaptation as a function of a support."""
    model = replace(source.model, classes=tuple(map(str, range(classes))))
    problem, learner = model.problem(), source.learner

    @torch.no_grad()
    def predict(support: Batch, x: Tensor) -> Tensor:
        phi = learner.adapt(problem, model.params, model.state, support)
        return torch.cat(
            [torch.softmax(learner.predict(problem, phi, part), 1) for part in x.split(64)]
        )

    return predict


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
    folds = None
    if splits:
        folds = held_out(native(job.source, classes), examples.x, examples.y, splits)
    answers = (
        {"reject": rejection_threshold(folds)} if folds is not None and len(folds.y) >= 10 else {}
    )
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
    result["score"] = score_of(folds, how, classes)
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


def described(examples: Read) -> dict[str, Any]:
    task = examples.task
    return {
        "path": str(task.path.absolute()),
        "kind": task.kind,
        "type": task.type,
        "labels": list(task.labels),
        "support": len(examples.y),
        "query": 0 if examples.query is None else len(examples.query.y),
        "guessed": list(task.guessed),
        "skipped": task.skipped,
        "duplicates": task.duplicates,
    }


def rank(
    sources: list[Source], job: Job, skip_bad: bool, allow_duplicates: bool
) -> list[tuple[Source, float]]:
    """The sources by their held-out accuracy on the support, the best first."""
    found: list[tuple[Source, float]] = []
    for source in sources:
        mine = replace(job, source=source, report=ignore)
        examples = read(mine, skip_bad, allow_duplicates)
        require_classes(source, examples.task)
        splits, _, why = splits_of(mine, examples)
        if not splits:
            raise DataError(
                f"models cannot be ranked: {why}", code="adapt.no_ranking", where=str(job.task)
            )
        predictions = held_out(
            native(source, len(examples.task.labels)), examples.x, examples.y, splits
        )
        found.append((source, float(predictions.hits.mean())))
    return sorted(found, key=lambda pair: -pair[1])


@torch.no_grad()
def adapted(
    job: Job,
    examples: Read,
    method: str,
    result: dict[str, Any],
    answers: dict[str, Any],
    folder: Path,
) -> Bundle:
    """The model on all of the support."""
    source = job.source
    answers = {**answers, "support": [picture_hash(x) for x in examples.task.support.x]}
    model = replace(source.model, classes=examples.task.labels, method=method, answers=answers)
    problem = model.problem()
    phi = source.learner.adapt(problem, model.params, model.state, Batch(examples.x, examples.y))
    provenance = {
        **source.model.provenance,
        "created": journal.now(),
        "from": relative(source.opened.path, folder),
        "task": relative(job.task.absolute(), folder),
        "support": result["task"]["support"],
    }
    scores = {"score": result["score"], "transfer": result["transfer"]}
    return replace(model, params=dict(phi), provenance=provenance, scores=scores)


def relative(path: Path, folder: Path) -> str:
    """Model folders hold relative paths only, so that they can be moved with what is beside
    them."""
    return os.path.relpath(path, folder)
