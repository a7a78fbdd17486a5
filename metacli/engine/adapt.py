"""`adapt`: use what was learned on a user's own few examples. The source model is never changed."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from metacli.data.tables.choice import Choice
from metacli.engine.adapting.adding import adapted_to, before, require_same
from metacli.engine.adapting.ranking import none_helps, rank
from metacli.engine.adapting.reading import Job, Read, read, require_classes
from metacli.engine.adapting.scoring import measured
from metacli.engine.adapting.source import Source
from metacli.engine.adapting.sources import open_sources
from metacli.engine.adapting.transfer import settled
from metacli.engine.events import Notice, Reporter, ignore
from metacli.engine.models.folder import save
from metacli.engine.models.hashes import example_hash, weights_hash
from metacli.engine.models.learners import METHODS, NATIVE
from metacli.engine.models.model import AdaptedModel
from metacli.engine.models.parts import NO_COLUMNS, Columns, Confidence
from metacli.engine.scoring.checks import parse_checks, require_checks, require_known
from metacli.engine.storage.paths import RUNS, new_folder, require_device
from metacli.engine.storage.paths import target as target_folder
from metacli.engine.training import journal
from metacli.errors import UsageProblem
from metacli.types import Batch

NONE_HELPS = "adapt.none_helps"


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
        method: `native` (the learner's own) or a way of transfer: `prototype`, `linear-probe`,
            `fine-tune`, `lp-ft`, `l2-sp`.
        holdout: share of the support to score on, instead of k-fold.
        target: the column to predict. input: columns to predict from, with commas between them.
        type: only to be sure; a model answers with what it was trained for.
        baseline: also train the same network from scratch.
        add: `model` is adapted already; these examples are added to those that it was adapted to.
        out: the new model's folder; default `runs/adapted/<task>/<UTC time>`.

    Returns:
        The `result` of the command line's JSON document.

    Raises:
        DataError: problems in the task, all of them listed, before any work.
        CheckFailed: the score is not what was asked for; the model is written all the same.
    """
    refuse_unknown(method)
    checks = parse_checks(fail_under, fail_over)
    place = require_device(device)
    if holdout is not None and not 0 < holdout < 1:
        raise UsageProblem(f"--holdout wants a share between 0 and 1, found {holdout:g}")
    names = [model] if isinstance(model, str) else list(model)
    choice = Choice(target=target, inputs=None if input is None else tuple(input.split(",")))
    earlier = before(names, overrides, choice, place, report) if add else None
    if earlier is None:
        wanted: Any = type  # checked by `require_type`
        rows = replace(choice, type=wanted)
        sources = open_sources(names, overrides, method, place, report, Path(task), rows)
    else:
        sources, overrides = [earlier.source], earlier.overrides
    metric = "mae" if sources[0].kind == "regression" else "accuracy"
    require_known(checks, (metric,))
    require_type(type, sources)
    onto = () if earlier is None else earlier.tasks
    first = (*(path for path, _ in onto), Path(task))[0].absolute().name
    folder = target_folder(out, new_folder(RUNS / "adapted" / first), force=force)
    job = Job(
        *(Path(task), sources[0], holdout, seed or 0, place, report),
        onto=onto,
        overrides=tuple(overrides),
        choice=choice,
        columns=NO_COLUMNS if earlier is None else earlier.model.model.columns,
    )
    ranked = rank(sources, job, skip_bad, allow_duplicates) if len(sources) > 1 else []
    if ranked:
        job = replace(job, source=ranked[0].source)
    examples = read(job, skip_bad, allow_duplicates)
    if earlier is not None:
        require_same(earlier, examples.task)
    require_classes(job.source, examples.task)
    result, confidence = measured(job, examples, baseline)
    result |= {
        "model": str(folder),
        "from": str(job.source.opened.path),
        "method": job.source.method,
        "options": {},
        "sources": [one.as_dict() for one in ranked],
        "device": str(place),
    }
    if earlier is not None:
        new = len(examples.y) - len(earlier.support)
        result |= {"onto": str(earlier.model.path), "added": new}
    if ranked:
        result["none_helps"] = none_helps(result)
    if result.get("none_helps"):
        name = result["transfer"]["baseline"]["name"]
        report(Notice(f"none helps: the best of the sources is no better than {name}", NONE_HELPS))
    if dry_run:
        return {**result, "model": None, "dry_run": True}
    made = adapted(job, examples, result, confidence, folder)
    result["options"] = dict(made.options)
    save(made, folder, replace=force)
    if result["score"]["value"] is not None:
        require_checks(checks, {metric: result["score"]["value"]}, result)
    elif checks:
        raise UsageProblem(
            f"no score to check: {result['score']['why']}",
            hint="add a query/ folder",
            result=result,
        )
    return result


def require_type(type: str | None, sources: Sequence[Source]) -> None:
    """Raises UsageProblem for what a model of this kind has not: its own kind wins."""
    kinds = {one.kind for one in sources}
    if type is not None and kinds != {type}:
        raise UsageProblem(f"--type {type}, and this model is for {' and '.join(sorted(kinds))}")


def refuse_unknown(method: str) -> None:
    """Raises UsageProblem for a method that is not there."""
    if method not in METHODS:
        raise UsageProblem(f"unknown method {method!r}", hint=f"there are {', '.join(METHODS)}")


@torch.no_grad()
def adapted(
    job: Job,
    examples: Read,
    result: dict[str, Any],
    confidence: Confidence,
    folder: Path,
) -> AdaptedModel:
    """The model on all of the support."""
    source, task = job.source, examples.task
    labels = task.labels if source.kind == "classification" else None
    problem = source.problem(None if labels is None else len(labels))
    support = Batch(examples.x, examples.y)
    learner = settled(source.learner, problem, source.params, source.state, support)
    phi = learner.adapt(problem, source.params, support, source.state)
    provenance = {
        **source.opened.model.provenance,
        "created": journal.now(),
        "from": relative(source.opened.path, folder),
        "from_weights": weights_hash(source.opened.model.params),
        "overrides": list(job.overrides),
        **adapted_to((*job.onto, (job.task, job.choice)), folder),
        "support": result["task"]["support"],
    }
    scores = {"score": result["score"], "transfer": result["transfer"]}
    return AdaptedModel(
        recipe=source.recipe,
        params=dict(phi),
        state=source.state,
        inputs=source.inputs,
        kind=source.kind,
        way=source.way,
        method=source.method,
        options={} if source.method == NATIVE else dict(vars(learner)),
        classes=labels,
        confidence=confidence,
        columns=Columns(task.target, task.input if task.target else None, task.unit),
        support=tuple(example_hash(x) for x in task.support.x),
        scores=scores,
        provenance=provenance,
    )


def relative(path: Path, folder: Path) -> str:
    """Model folders hold relative paths only, so that they can be moved with what is beside
    them."""
    return os.path.relpath(path, folder)
