"""The learners of a recipe's `baselines`, trained beside the run on the same episodes."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

from metacli.algorithms import ALGORITHMS, canonical, find
from metacli.engine.events import Event, Notice, Progress, Reporter, StepDone
from metacli.engine.models import folder as model_folder
from metacli.engine.models.inputs import InputSpec
from metacli.engine.models.model import FewShotModel
from metacli.engine.scoring.episodes import to_device
from metacli.engine.training.build import (
    batches_for,
    describe_data,
    make_learner,
    make_problem,
    make_source,
    told_classes,
)
from metacli.engine.training.few_shot_run import Job, provenance
from metacli.engine.training.loop import Snapshot, train
from metacli.errors import BundleError, RunFailed
from metacli.schema.blocks import Named
from metacli.schema.few_shot import FewShotRecipe
from metacli.schema.load import Loaded

ORACLE = "oracle"  # one network of all waves whose inputs hold the wave's amplitude and phase
LEARNER = {ORACLE: "joint"}


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
        return model_folder.load(folder).provenance.get("steps") if folder.is_dir() else None
    except BundleError:
        return None


def train_one(
    job: Job, name: str, steps: int, received: Callable[[], int | None], report: Reporter
) -> Snapshot:
    learner, recipe = baseline_learner(job, name), baseline_recipe(job, name)
    problem = make_problem(recipe, learner, inputs_of(job, recipe), job.built.way)
    own_source = recipe.data == job.recipe.data
    source = batches_for(learner, job.train_source if own_source else make_source(recipe, "train"))
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
    recipe = baseline_recipe(job, name)
    made = FewShotModel(
        recipe=recipe,
        params=final.params,
        state=final.state,
        inputs=inputs_of(job, recipe),
        kind=job.built.kind,
        way=job.built.way,
        provenance=provenance(job, final.step),
    )
    model_folder.save(made, folder, replace=True)


def check_baselines(job: Job) -> None:
    """Raises RecipeError for a baseline that is not a learner, before anything is trained."""
    for name in job.recipe.baselines:
        baseline_learner(job, name)


def baseline_recipe(job: Job, name: str) -> FewShotRecipe:
    """The run's recipe with the baseline in the learner's place."""
    learner = LEARNER.get(name, name)
    algorithm = Named(name=learner, **baseline_options(job, name))
    changed: dict[str, Any] = {"algorithm": algorithm, "baselines": ()}
    if name == ORACLE:
        data = {**job.recipe.data.options, "told": True}
        changed["data"] = job.recipe.data.model_copy(update={"options": data})
        changed["evaluate"] = job.recipe.evaluate.model_copy(update={"replace": {}})
    return job.recipe.model_copy(update=changed)


def inputs_of(job: Job, recipe: FewShotRecipe) -> InputSpec:
    """What one example of a baseline looks like."""
    return job.built.inputs if recipe.data == job.recipe.data else describe_data(recipe)[0]


def baseline_options(job: Job, name: str) -> dict[str, Any]:
    """The fields that the baseline shares with the run's learner."""
    if name == ORACLE:
        return {"inner_steps": 0}  # it has nothing to find out
    entry = ALGORITHMS[canonical(name)]
    own, preset = {field.name for field in dataclasses.fields(entry.load())}, entry.preset
    shared = {k: v for k, v in job.recipe.algorithm.options.items() if k in own and k not in preset}
    return {**shared, **preset}


def baseline_learner(job: Job, name: str) -> Any:
    loaded = Loaded(job.recipe, job.name, None, "", job.name)
    findings: list[Any] = []
    of = LEARNER.get(name, name)
    options = baseline_options(job, name) if find(of, "meta") else {}
    learner = make_learner(Named(name=of, **options), loaded, findings, "baselines")
    if learner is not None and job.built.kind not in learner.kinds:
        message = f"baseline {name} is for {' and '.join(learner.kinds)}, not {job.built.kind}"
        findings.append(loaded.finding("baselines", message, code="recipe.mismatch"))
    if findings:
        raise loaded.error(findings)
    return told_classes(learner, job.recipe, job.built.kind, loaded, findings)
