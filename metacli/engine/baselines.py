"""The learners of a recipe's `baselines`, trained beside the run on the same episodes."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

from metacli.algorithms import ALGORITHMS
from metacli.engine import bundle
from metacli.engine.build import batches_for, make_learner, make_problem, told_classes
from metacli.engine.events import Event, Notice, Progress, Reporter, StepDone
from metacli.engine.job import Job, provenance
from metacli.engine.loop import Snapshot, train
from metacli.engine.scoring import to_device
from metacli.errors import BundleError, RunFailed
from metacli.schema.load import Loaded
from metacli.schema.recipe import Named


def train_baselines(
    job: Job, steps: int, received: Callable[[], int | None], report: Reporter
) -> None:
    """Each baseline for as many steps as the run took, kept as a model below `baselines/`.

    One that is there already, of as many steps, is kept; one whose loss is not finite is left out,
    which is said.
    """
    for name in job.recipe.baselines:
        folder = job.run / "baselines" / name
        if trained_steps(folder) == steps or received() is not None:
            continue
        try:
            final = train_one(job, name, steps, received, report)
        except RunFailed as error:
            if error.code != "run.not_finite":
                raise
            report(Notice(f"baseline {name} is left out: {error.message}", "run.baseline_failed"))
            continue
        if final.step == steps:
            save(job, name, final, folder)


def trained_steps(folder: Path) -> int | None:
    """How long the model in a folder was trained; None where there is no valid one."""
    try:
        return bundle.load(folder).provenance.get("steps") if folder.is_dir() else None
    except BundleError:
        return None


def train_one(
    job: Job, name: str, steps: int, received: Callable[[], int | None], report: Reporter
) -> Snapshot:
    learner = baseline_learner(job, name)
    problem = make_problem(job.recipe, learner, job.built.inputs, job.built.way)
    source = batches_for(learner, job.train_source)
    params = {k: v.to(job.device) for k, v in problem.init(job.recipe.seed).items()}
    own, state = learner.init(problem, params)

    def tick(event: Event) -> None:
        if isinstance(event, StepDone) and event.step % 100 == 0:
            report(Progress(f"baseline {name}", event.step, steps, "steps"))

    return train(
        learner,
        problem,
        lambda step: to_device(source.meta_batch_at(step), job.device),
        job.recipe.train.model_copy(update={"steps": steps}),
        Snapshot(0, {**params, **own}, state, {}),
        learned=problem.trainable | frozenset(own),
        seed=job.recipe.seed,
        every=steps,
        visit=lambda snapshot: None,
        stop=lambda: received() is not None,
        report=tick,
    )


def save(job: Job, name: str, final: Snapshot, folder: Path) -> None:
    algorithm = Named(name=name, **baseline_options(job, name))
    recipe = job.recipe.model_copy(update={"algorithm": algorithm, "baselines": ()})
    made = bundle.Bundle(
        recipe=recipe,
        params=final.params,
        state=final.state,
        inputs=job.built.inputs,
        kind=job.built.kind,
        way=job.built.way,
        provenance=provenance(job, final.step),
    )
    bundle.save(made, folder, replace=True)


def check_baselines(job: Job) -> None:
    """Raises RecipeError for a baseline that is not a learner, before anything is trained."""
    for name in job.recipe.baselines:
        baseline_learner(job, name)


def baseline_options(job: Job, name: str) -> dict[str, Any]:
    """The fields that the baseline shares with the run's learner."""
    own = {field.name for field in dataclasses.fields(ALGORITHMS[name].load())}
    preset = ALGORITHMS[name].preset
    shared = {k: v for k, v in job.recipe.algorithm.options.items() if k in own and k not in preset}
    return {**shared, **preset}


def baseline_learner(job: Job, name: str) -> Any:
    loaded = Loaded(job.recipe, job.name, None, "", job.name)
    findings: list[Any] = []
    known = name in ALGORITHMS and ALGORITHMS[name].family == "meta"
    options = baseline_options(job, name) if known else {}
    learner = make_learner(Named(name=name, **options), loaded, findings, "baselines")
    if learner is not None and job.built.kind not in getattr(learner, "kinds", (job.built.kind,)):
        message = f"baseline {name} is for {' and '.join(learner.kinds)}, not {job.built.kind}"
        findings.append(loaded.finding("baselines", message, code="recipe.mismatch"))
    if findings:
        raise loaded.error(findings)
    return told_classes(learner, job.recipe, job.built.kind, loaded, findings)
