"""A recipe of kind meta-multitask on sets of classifications, or on a user's own sets, made:
learner, network, sources."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from metacli.algorithms import ALGORITHMS, names
from metacli.algorithms.meta_multitask.protocol import ClassSetLearner, SetLearner
from metacli.data.sets.by_name import CLASS_SETS, ClassOptions
from metacli.data.sets.own_files import OwnSets
from metacli.engine.encoders.parameters import with_encoder
from metacli.engine.events import Reporter, ignore
from metacli.engine.sets.build import BASELINES, make_set_learner, with_fields
from metacli.engine.sets.class_model import ClassFacts, class_problem
from metacli.engine.sets.class_sources import (
    LabelledSets,
    class_source,
    facts_of,
    has_classes,
    is_own,
)
from metacli.engine.training.few_shot.checks import check_backbone
from metacli.engine.training.options import make_named, make_options, written_out
from metacli.engine.training.problems import Problems
from metacli.errors import RecipeError
from metacli.nn.backbones.table import Backbone, backbones
from metacli.nn.set_problem import SetProblem
from metacli.schema.load import Loaded
from metacli.schema.meta_multi_task import MetaMultiTaskRecipe

__all__ = ["ClassSetBuilt", "build_class_sets", "has_classes"]


@dataclass(frozen=True)
class ClassSetBuilt:
    """Everything the recipe names, made.

    Args:
        recipe: fully resolved.
        train, val: sources of sets, in meta-batches of the recipe and of `class_sources.GROUP`.
    """

    recipe: MetaMultiTaskRecipe
    learner: ClassSetLearner
    problem: SetProblem
    facts: ClassFacts
    train: LabelledSets
    val: LabelledSets


def build_class_sets(loaded: Loaded, report: Reporter = ignore) -> ClassSetBuilt:
    """Nothing has been written or trained by then.

    Raises:
        RecipeError: with every problem found. DataError: not fetched, or a size that the source
        does not have.
    """
    recipe, problems = loaded.recipe, Problems(loaded)
    assert isinstance(recipe, MetaMultiTaskRecipe)
    learner = learner_of_classes(make_set_learner(recipe, problems), recipe, problems)
    backbone = backbone_of(recipe, problems)
    options = class_options(recipe, problems)
    require_sizes(recipe, problems)
    require_arms(recipe, problems)
    problems.raise_any()
    if learner is None or backbone is None or options is None:
        raise loaded.error(problems.found)
    train, val = (class_source(recipe, split, report=report) for split in ("train", "val"))
    facts = facts_of(train)
    resolved = resolve(recipe, learner, backbone, options)
    assert resolved.backbone is not None
    check_backbone(resolved.backbone.name, backbone, facts.inputs, problems)
    problems.raise_any()
    try:
        problem = class_problem(resolved, learner, facts, with_encoder(resolved, {}))
    except RecipeError as error:
        problems.add("backbone", error.message, error.hint, code="recipe.invalid")
        raise loaded.error(problems.found) from None
    return ClassSetBuilt(resolved, learner, problem, facts, train, val)


def learner_of_classes(
    learner: SetLearner | None, recipe: MetaMultiTaskRecipe, problems: Problems
) -> ClassSetLearner | None:
    """None where a problem was added."""
    if learner is None or isinstance(learner, ClassSetLearner):
        return learner
    classes = {name: ALGORITHMS[name].load() for name in names("meta-multitask")}
    known = ", ".join(name for name, of in classes.items() if issubclass(of, ClassSetLearner))
    message = f"algorithm.name {recipe.algorithm.name} learns sets of regressions only"
    problems.add("algorithm.name", message, f"of classifications: {known}", code="recipe.invalid")
    return None


def backbone_of(recipe: MetaMultiTaskRecipe, problems: Problems) -> Backbone | None:
    """None where a problem was added."""
    if recipe.backbone is None:
        message = f"backbone is missing: what makes features of an example of {recipe.data.source}"
        hint = "add backbone: {name: conv4, width: 32}"
        problems.add("backbone", message, hint, code="recipe.missing_key")
        return None
    made: Backbone | None = make_named(
        recipe.backbone, backbones(recipe.backbone.name), "backbone", problems
    )
    return made


def class_options(recipe: MetaMultiTaskRecipe, problems: Problems) -> ClassOptions | OwnSets | None:
    """The options of the source; None where a problem was added."""
    if is_own(recipe.data.source):
        return make_options(OwnSets, recipe.data.options, "data", problems)
    of = CLASS_SETS[recipe.data.source].options
    made: ClassOptions | None = make_options(of, recipe.data.options, "data", problems)
    return made


def require_arms(recipe: MetaMultiTaskRecipe, problems: Problems) -> None:
    """Arms that are trained are of sets by name."""
    if recipe.baselines and is_own(recipe.data.source):
        what = "baselines are of sets by name; evaluate compares yours with separate adaptation"
        problems.add("baselines", what, "leave it out", code="recipe.invalid")
    for unknown in (one for one in recipe.baselines if one not in BASELINES):
        message = f"no arm {unknown!r} of sets; there are {', '.join(BASELINES)}"
        problems.add("baselines", message, code="recipe.unknown_name")


def require_sizes(recipe: MetaMultiTaskRecipe, problems: Problems) -> None:
    """A set of classifications by name has tasks, way and shot; one of a user tasks and points."""
    sizes = recipe.sets
    given = {
        "tasks": sizes.tasks,
        "way": sizes.way,
        "shot": sizes.shot,
        "points": sizes.points,
    }
    examples = {"tasks": "[2,4]", "way": "5", "shot": "1", "points": "[5,20]"}
    wanted: tuple[str, ...]
    if is_own(recipe.data.source):
        wanted, why = ("tasks", "points"), "tasks of your own are of unequal classes"
    else:
        wanted, why = ("tasks", "way", "shot"), "sets.points is of regressions"
    for key, value in given.items():
        if key in wanted and value is None:
            hint = f"sets.{key}={examples[key]}"
            problems.add(f"sets.{key}", f"sets.{key} is missing", hint, code="recipe.missing_key")
        if key not in wanted and value is not None:
            message = f"{why}; wanted sets.{', sets.'.join(wanted)}, found sets.{key}"
            problems.add(f"sets.{key}", message, "leave it out", code="recipe.invalid")


def resolve(
    recipe: MetaMultiTaskRecipe,
    learner: ClassSetLearner,
    backbone: Backbone,
    options: ClassOptions | OwnSets,
) -> MetaMultiTaskRecipe:
    """The recipe with every field of what it names written out."""
    assert recipe.backbone is not None
    plain = with_fields(recipe, learner).plain()
    plain["backbone"] = {"name": recipe.backbone.name, **written_out(backbone)}
    source = recipe.data.source
    if is_own(source):  # the run is resumed from any folder
        source = str(Path(source).absolute())
    plain["data"] = {"source": source, **written_out(options)}
    return MetaMultiTaskRecipe.model_validate(plain)
