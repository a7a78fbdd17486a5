"""The learners of a recipe's `baselines`, trained on the run's episodes for comparison."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from metacli.algorithms import ALGORITHMS, canonical, find
from metacli.algorithms.learner import Learner
from metacli.data.few_shot.source import EpisodeSource
from metacli.engine.encoders.parameters import to_train
from metacli.engine.events import Event, Notice, Progress, StepDone
from metacli.engine.models import folder as model_folder
from metacli.engine.models.beginnings import own_start
from metacli.engine.models.inputs import InputSpec
from metacli.engine.models.networks import make_problem
from metacli.engine.results.base import Json
from metacli.engine.scoring.episodes import to_device
from metacli.engine.training.few_shot.build import FewShotBuilt, with_classes
from metacli.engine.training.few_shot.sources import (
    batches_for,
    describe_data,
    make_source,
)
from metacli.engine.training.loop import Snapshot, train
from metacli.engine.training.options import field_names, make_learner
from metacli.engine.training.problems import Problems
from metacli.engine.training.provenance import provenance
from metacli.engine.training.runs import start_of
from metacli.engine.training.signals import Control
from metacli.engine.training.workspace import Workspace
from metacli.errors import BundleError, RunFailed
from metacli.schema.blocks import Named
from metacli.schema.few_shot import FewShotRecipe
from metacli.schema.load import Loaded

ORACLE = "oracle"  # one network of all sinusoids whose inputs hold amplitude and phase
LEARNER = {ORACLE: "joint"}


@dataclass(frozen=True)
class Baseline:
    """One of them: a learner instead of the run's.

    Args:
        inputs: what one of its examples looks like.
    """

    name: str
    learner: Learner
    recipe: FewShotRecipe
    inputs: InputSpec


def check_baselines(built: FewShotBuilt, name: str) -> None:
    """Raises RecipeError for a baseline that is not a learner, before anything is trained.

    Args:
        name: of the recipe.
    """
    for baseline in built.recipe.baselines:
        baseline_learner(built, baseline, name)


def train_baselines(
    built: FewShotBuilt,
    source: EpisodeSource,
    workspace: Workspace,
    data: Mapping[str, Json],
    steps: int,
    control: Control,
) -> None:
    """Each baseline for as many steps as the run took, kept as a model below `baselines/`.

    One that is there already, of as many steps, is kept; one whose loss is not finite is left out,
    which is reported.

    Args:
        source: the run's training episodes. data: what its models say of their data.
    """
    for name in built.recipe.baselines:
        folder = workspace.baselines / name
        if trained_steps(folder) == steps or control.stopped:
            continue
        baseline = make_baseline(built, name, workspace.name)
        same_data = baseline.recipe.data == built.recipe.data
        try:
            episodes = source if same_data else make_source(baseline.recipe, "train")
            final = train_one(baseline, built.way, episodes, workspace, steps, control)
        except RunFailed as error:
            if error.code != "run.not_finite":
                raise
            message = f"baseline {name} is left out: {error.message}"
            control.report(Notice(message, "run.baseline_failed"))
            continue
        if final.step == steps:
            facts = provenance(workspace, built.recipe, data, steps)
            save(baseline, built, final, facts, folder)


def trained_steps(folder: Path) -> Json:
    """How long the model in a folder was trained; None where there is no valid one."""
    try:
        return model_folder.load(folder).provenance.get("steps") if folder.is_dir() else None
    except BundleError:
        return None


def train_one(
    baseline: Baseline,
    way: int,
    episodes: EpisodeSource,
    workspace: Workspace,
    steps: int,
    control: Control,
) -> Snapshot:
    """The baseline after `steps` steps, or fewer where a signal came."""
    recipe, learner = baseline.recipe, baseline.learner
    problem = make_problem(recipe, learner, baseline.inputs, way)
    source = batches_for(learner, episodes)
    begin = start_of(
        partial(own_start, learner), problem, to_train(recipe, problem.init(recipe.seed))
    )
    params = {name: value.to(workspace.device) for name, value in begin.params.items()}

    def tick(event: Event) -> None:
        if isinstance(event, StepDone) and event.step % 100 == 0:
            control.report(Progress(f"baseline {baseline.name}", event.step, steps, "steps"))

    return train(
        learner,
        problem,
        lambda step: to_device(source.meta_batch_at(step), workspace.device),
        recipe.train.model_copy(update={"steps": steps}),
        Snapshot(0, params, begin.state, {}),
        learned=begin.learned,
        seed=recipe.seed,
        every=steps,
        visit=lambda snapshot: None,
        stop=lambda: control.stopped,
        report=tick,
    )


def save(
    baseline: Baseline,
    built: FewShotBuilt,
    final: Snapshot,
    facts: Mapping[str, Json],
    folder: Path,
) -> None:
    own = replace(built, recipe=baseline.recipe, inputs=baseline.inputs)
    model_folder.save(own.model(final, facts), folder, replace=True)


def make_baseline(built: FewShotBuilt, name: str, recipe_name: str) -> Baseline:
    """The baseline instead of the run's learner. Raises RecipeError as `check_baselines`."""
    learner, recipe = baseline_learner(built, name, recipe_name), baseline_recipe(built, name)
    inputs = built.inputs if recipe.data == built.recipe.data else describe_data(recipe)[0]
    return Baseline(name, learner, recipe, inputs)


def baseline_recipe(built: FewShotBuilt, name: str) -> FewShotRecipe:
    """The run's recipe with the baseline instead of the run's learner."""
    recipe = built.recipe
    algorithm = named(LEARNER.get(name, name), baseline_options(built, name))
    recipe = recipe.model_copy(update={"algorithm": algorithm, "baselines": ()})
    if name != ORACLE:
        return recipe
    data = recipe.data.model_copy(update={"options": {**recipe.data.options, "told": True}})
    evaluate = recipe.evaluate.model_copy(update={"replace": {}})
    return recipe.model_copy(update={"data": data, "evaluate": evaluate})


def baseline_options(built: FewShotBuilt, name: str) -> dict[str, Json]:
    """The fields that the baseline shares with the run's learner."""
    if name == ORACLE:
        return {"inner_steps": 0}  # it has nothing to find out
    entry, given = ALGORITHMS[canonical(name)], built.recipe.algorithm.options
    fields = set(field_names(entry.load())) - set(entry.preset)
    return {**{key: value for key, value in given.items() if key in fields}, **entry.preset}


def baseline_learner(built: FewShotBuilt, name: str, recipe_name: str) -> Learner:
    """Raises RecipeError where there is none of that name, or it is for another kind of tasks."""
    loaded = Loaded(built.recipe, recipe_name, None, "", recipe_name)
    problems, of = Problems(loaded), LEARNER.get(name, name)
    options = baseline_options(built, name) if find(of, "meta") else {}
    learner = make_learner(named(of, options), problems, "baselines")
    if learner is None:
        raise loaded.error(problems.found)
    kinds = ("regression",) if name == ORACLE else learner.kinds
    if built.kind not in kinds:
        message = f"baseline {name} is for {' and '.join(kinds)}, not {built.kind}"
        problems.add("baselines", message)
    elif learner.shared_labels and built.kind == "classification" and not built.inputs.labels:
        message = f"baseline {name} needs labels that mean the same in every task"
        problems.add("baselines", message)
    problems.raise_any()
    learner = with_classes(learner, built.recipe, built.kind, problems)
    problems.raise_any()
    return learner


def named(name: str, options: Mapping[str, Json]) -> Named:
    """The block of a recipe that says so."""
    return Named.model_validate({"name": name, **options})
