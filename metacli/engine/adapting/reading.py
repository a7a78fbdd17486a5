"""What `adapt` works on: the source model with its learner, and the user's examples as tensors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from metacli.algorithms import ALGORITHMS
from metacli.data.tables.choice import NOTHING_SAID, Choice
from metacli.data.user.open import Task, load_task
from metacli.engine.adapting.any_way import any_way_hint
from metacli.engine.adapting.transfer import starting_point
from metacli.engine.events import Notice, Progress, Reporter
from metacli.engine.models.backbone_source import METHOD, backbone_options, is_backbone, open_source
from metacli.engine.models.bundle import Bundle
from metacli.engine.models.feature_source import FEATURES, feature_source
from metacli.engine.models.multi_task_source import task_source
from metacli.engine.models.opening import Opened
from metacli.engine.training.build import make_options, restore_learner
from metacli.errors import DataError, Finding, UsageProblem
from metacli.schema.load import Loaded
from metacli.types import Batch

LINEAR_PROBE = "linear-probe"  # for sources that have no way of their own to adapt


@dataclass(frozen=True)
class Source:
    """A model to adapt, and the learner that does it."""

    opened: Opened
    learner: Any
    model: Bundle


@dataclass(frozen=True)
class Job:
    """One `adapt`.

    Args:
        holdout: share of the support to score on.
        onto: tasks that the examples are added to, with what was said of their columns, and
            `answers` what the model that was adapted to them says, such as the name of its target.
        overrides: of the learner's fields.
        choice: what is said of the columns of tables.
    """

    task: Path
    source: Source
    holdout: float | None
    seed: int
    device: torch.device
    report: Reporter
    onto: tuple[tuple[Path, Choice], ...] = ()
    overrides: tuple[str, ...] = ()
    choice: Choice = NOTHING_SAID
    answers: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Read:
    """The task's examples as tensors; y of a regression [M, 1] as the network sees it."""

    task: Task
    x: Tensor
    y: Tensor
    query: Batch | None


def open_sources(
    names: Sequence[str],
    overrides: Sequence[str],
    method: str,
    place: torch.device,
    report: Reporter,
    task: Path | None = None,
    choice: Choice = NOTHING_SAID,
) -> list[Source]:
    """Every source with the learner that adapts it. `features` are those of the task's table."""
    options, fields = backbone_options(overrides)
    found = [
        feature_source(task, choice)
        if name == FEATURES and task is not None and not Path(name).exists()
        else open_source(name, options, place, report)
        for name in names
    ]
    if options and not any(map(is_backbone, found)):
        raise UsageProblem(
            f"{next(iter(options))} is for a network of others; {names[0]} is a model of metacli"
        )
    return [
        prepared(one, fields, METHOD if needs_method(one) and method == "native" else method)
        for one in found
    ]


def needs_method(opened: Opened) -> bool:
    """Whether it has no way of its own to adapt."""
    return is_backbone(opened) or opened.path == Path(FEATURES)


def prepared(opened: Opened, overrides: Sequence[str], method: str) -> Source:
    """The model with the fields of its learner that the command line changes."""
    model = opened.model
    if model.adapted:
        raise DataError(
            "this model is adapted already",
            code="model.adapted",
            where=str(opened.path),
            hint="adapt the model that it came from (metacli inspect names it), or add with --add",
        )
    if model.kind == "tasks":  # whose tasks' heads stay behind
        model = task_source(model, LINEAR_PROBE if method == "native" else method)
    if model.inputs.regresses and model.inputs.target is None:
        raise DataError(
            f"a {model.kind} model of {model.recipe.data.source} takes no files of a user",
            code="model.kind",
            where=str(opened.path),
            hint="metacli recipes lists models for pictures, texts and tables",
        )
    kinds = ALGORITHMS[method].learner().kinds if method != "native" else (model.kind,)
    if model.kind not in kinds:
        raise UsageProblem(
            f"--method {method} is for {' and '.join(kinds)}, and this model predicts numbers",
            hint="linear-probe, fine-tune, lp-ft and l2-sp take numbers, too",
        )
    if method != "native" and model.method is None:
        start = starting_point(model.params, restore_learner(model.few_shot_recipe))
        model = replace(model, method=method, params=start)
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
    current = vars(learner)
    findings: list[Finding] = []
    made = make_options(learner.__class__, {**current, **fields}, "algorithm", loaded, findings)
    if made is not None:
        findings += head_problems(learner, made, model.way, loaded)
    if findings:
        raise loaded.error(findings)
    if model.method is not None:
        return replace(model, options=fields)
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
        job.source.model.inputs.wanted(job.answers),
        onto=job.onto,
        choice=job.choice,
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
        query = Batch(tensor(task.query.x, job), targets(task.query.y, job))
    return Read(task, tensor(task.support.x, job), targets(task.support.y, job), query)


def targets(y: np.ndarray, job: Job) -> Tensor:
    """Labels [M]; or numbers [M, 1] as the network sees them."""
    if job.source.model.kind == "classification":
        return tensor(y, job)
    scaled = job.source.model.inputs.unscaled.encode(y)
    return tensor(scaled.astype(np.float32)[:, None], job)


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
    fixed = not source.learner.any_way and source.model.kind == "classification"
    if fixed and len(task.labels) != source.model.way:
        raise DataError(
            f"{source.model.few_shot_recipe.algorithm.name} has a head of "
            f"{source.model.way} classes, {task.path} has {len(task.labels)}",
            code="model.fixed_way",
            where=str(task.path),
            hint=f"--method prototype; or train another model: {any_way_hint()}",
        )


def described(examples: Read) -> dict[str, Any]:
    task = examples.task
    of_rows = {"target": task.target, "unit": task.unit} if task.target else {}
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
        **of_rows,
    }
