"""A recipe of kind meta-multitask on sets of classifications made: learner, network, sources."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from metacli.algorithms import names
from metacli.algorithms.meta_multitask.protocol import ClassSetLearner, SetLearner
from metacli.data.sets.by_name import CLASS_SETS, ClassOptions
from metacli.data.sets.classes import ClassGroups, ClassSets
from metacli.data.tables.coded import CodedRows, is_text
from metacli.engine.models.inputs import InputSpec
from metacli.engine.sets.build import make_set_learner, with_fields
from metacli.engine.sets.class_model import ClassFacts, class_problem
from metacli.engine.storage.paths import cache_root
from metacli.engine.training.options import make_named, make_options, parsed, written_out
from metacli.engine.training.problems import Problems
from metacli.errors import RecipeError
from metacli.nn.backbones.table import Backbone, backbones
from metacli.nn.set_problem import SetProblem
from metacli.schema.load import Loaded
from metacli.schema.meta_multi_task import MetaMultiTaskRecipe

VALIDATION_GROUP, VALIDATION_QUERIES = 16, 5
LEARNERS = ("mtnp", "mmaml", "coupled")


@dataclass(frozen=True)
class ClassSetBuilt:
    """Everything the recipe names, made.

    Args:
        recipe: fully resolved.
        train, val: sources of sets, in meta-batches of the recipe and of `VALIDATION_GROUP`.
    """

    recipe: MetaMultiTaskRecipe
    learner: ClassSetLearner
    problem: SetProblem
    facts: ClassFacts
    train: ClassSets
    val: ClassSets


def has_classes(recipe: MetaMultiTaskRecipe) -> bool:
    """Whether the tasks of its source are classifications."""
    return recipe.data.source in CLASS_SETS


def build_class_sets(loaded: Loaded) -> ClassSetBuilt:
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
    if recipe.baselines:
        what = "baselines of kind meta-multitask are arms of evaluate"
        problems.add("baselines", what, "leave it out", code="recipe.invalid")
    problems.raise_any()
    if learner is None or backbone is None or options is None:
        raise loaded.error(problems.found)
    train, val = (class_source(recipe, split) for split in ("train", "val"))
    facts = facts_of(train)
    resolved = resolve(recipe, learner, backbone, options)
    try:
        problem = class_problem(resolved, learner, facts)
    except RecipeError as error:
        problems.add("backbone", str(error), error.hint, code="recipe.invalid")
        raise loaded.error(problems.found) from None
    return ClassSetBuilt(resolved, learner, problem, facts, train, val)


def learner_of_classes(
    learner: SetLearner | None, recipe: MetaMultiTaskRecipe, problems: Problems
) -> ClassSetLearner | None:
    """None where a problem was added."""
    if learner is None or isinstance(learner, ClassSetLearner):
        return learner
    known = ", ".join(name for name in names("meta-multitask") if name in LEARNERS)
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


def class_options(recipe: MetaMultiTaskRecipe, problems: Problems) -> ClassOptions | None:
    """The options of the source; None where a problem was added."""
    of = CLASS_SETS[recipe.data.source].options
    made: ClassOptions | None = make_options(of, recipe.data.options, "data", problems)
    return made


def require_sizes(recipe: MetaMultiTaskRecipe, problems: Problems) -> None:
    """A set of classifications has tasks, way and shot, and no points."""
    sizes = recipe.sets
    if sizes.points is not None:
        message = "sets.points is of regressions; a set of classifications has tasks, way and shot"
        problems.add("sets.points", message, "leave it out", code="recipe.invalid")
    for key, value in (("tasks", sizes.tasks), ("way", sizes.way), ("shot", sizes.shot)):
        if value is None:
            example = {"tasks": "[2, 4]", "way": "5", "shot": "1"}[key]
            message = f"sets.{key} is missing"
            problems.add(f"sets.{key}", message, f"sets.{key}={example}", code="recipe.missing_key")


def groups_of(recipe: MetaMultiTaskRecipe, split: str) -> ClassGroups:
    """What the sets of a split are drawn from. Raises DataError."""
    named = CLASS_SETS[recipe.data.source]
    options: ClassOptions = parsed(named.options, recipe.data.options)
    return named.load(split, options, cache_root())


def class_source(
    recipe: MetaMultiTaskRecipe,
    split: Literal["train", "val", "test"],
    *,
    tasks: int | None = None,
    shot: int | None = None,
    query: int | None = None,
    seed: int = 0,
    group: int = VALIDATION_GROUP,
) -> ClassSets:
    """The sets of a split: of training as the recipe says; otherwise of as many tasks as the source
    has of those asked for, and of the largest way and the smallest shot of a range."""
    sizes, pool = recipe.sets, groups_of(recipe, split)
    assert sizes.tasks is not None
    assert sizes.way is not None
    assert sizes.shot is not None
    if split == "train":
        return ClassSets(
            *(pool, sizes.tasks, sizes.way, sizes.shot, sizes.query),
            seed=("train", recipe.seed),
            meta_batch=recipe.train.meta_batch,
        )
    most = sizes.tasks if isinstance(sizes.tasks, int) else sizes.tasks[1]
    way = sizes.way if isinstance(sizes.way, int) else sizes.way[1]
    fewest = sizes.shot if isinstance(sizes.shot, int) else sizes.shot[0]
    asked = recipe.evaluate
    if split == "val" and isinstance(asked.shot, int):
        fewest = asked.shot
    return ClassSets(
        pool,
        tasks or min(most, most_tasks(pool, way)),
        way,
        shot or fewest,
        query or asked.query or min(sizes.query, VALIDATION_QUERIES),
        seed=(split, seed),
        meta_batch=group,
    )


def most_tasks(pool: ClassGroups, way: int) -> int:
    """The most tasks of a set, at least 1."""
    if pool.relation == "tasks":
        return max(len(group) for group in pool.groups)
    if pool.relation == "divided":
        return max(1, max(len(group[0].classes) for group in pool.groups) // way)
    return 8


def facts_of(source: ClassSets) -> ClassFacts:
    """What a model has to know of its tasks."""
    pool, store = source.pool, source.pool.store
    if isinstance(store, CodedRows):
        text = is_text(store.rows)
        inputs = InputSpec(
            "text" if text else "numbers", pool.example_shape, reader=store.encoder.as_dict()
        )
    else:
        inputs = InputSpec("image", pool.example_shape, pool.ink)
    return ClassFacts(inputs, source.fixed_way, pool.shared_labels)


def resolve(
    recipe: MetaMultiTaskRecipe,
    learner: ClassSetLearner,
    backbone: Backbone,
    options: ClassOptions,
) -> MetaMultiTaskRecipe:
    """The recipe with every field of what it names written out."""
    assert recipe.backbone is not None
    plain = with_fields(recipe, learner).plain()
    plain["backbone"] = {"name": recipe.backbone.name, **written_out(backbone)}
    plain["data"] = {"source": recipe.data.source, **written_out(options)}
    return MetaMultiTaskRecipe.model_validate(plain)
