"""A recipe of kind meta-multitask made: learner, network and sources of sets."""

from __future__ import annotations

import json
from dataclasses import dataclass

from metacli.algorithms import ALGORITHMS, names
from metacli.algorithms.meta_multitask.protocol import SetLearner
from metacli.data.sets.by_name import CLASS_SETS
from metacli.data.sets.sources import SETS, SetOptions, SetShape, SetSource
from metacli.engine.sets.arms.names import POINTS, TRAINED
from metacli.engine.sets.arms.tuning import SETS as ARM_SETS
from metacli.engine.training.options import make_options, parsed, written_out
from metacli.engine.training.problems import Problems
from metacli.nn.set_problem import SetProblem
from metacli.schema.load import Loaded
from metacli.schema.meta_multi_task import MetaMultiTaskRecipe
from metacli.types import SetEpisode

BASELINES = tuple(one.replace("_", "-") for one in TRAINED)
VALIDATION_POINTS, VALIDATION_QUERIES, VALIDATION_GROUP = 10, 32, 64


@dataclass(frozen=True)
class SetBuilt:
    """Everything the recipe names, made.

    Args:
        recipe: fully resolved.
        train, val: sources of sets, in meta-batches of the recipe and of `VALIDATION_GROUP`.
    """

    recipe: MetaMultiTaskRecipe
    learner: SetLearner
    problem: SetProblem
    train: SetSource
    val: SetSource

    @property
    def points(self) -> tuple[int, ...]:
        """Numbers of points for which the arms of `evaluate` are tuned: those that it measures, as
        far as training has them."""
        given = self.recipe.sets.points
        assert given is not None  # as of every set of regressions
        low, high = given if isinstance(given, tuple) else (given, given)
        return tuple(one for one in POINTS if low <= one <= high) or (low,)

    def validation(self, points: int) -> SetEpisode:
        """Sets on which the arms are tuned, other ones than training is validated on."""
        shape = SetShape(points, VALIDATION_QUERIES, ARM_SETS)
        return source_of(self.recipe, shape, ("val", 2)).meta_batch_at(0)


def source_of(
    recipe: MetaMultiTaskRecipe, shape: SetShape, seed: tuple[str | int, ...]
) -> SetSource:
    """The recipe's sets of regressions in another shape, from a stream of that name. Raises
    DataError for a size that the source does not have."""
    named = SETS[recipe.data.source]
    options: SetOptions = parsed(named.options, recipe.data.options)
    return named.make(options, shape, seed)


def build_sets(loaded: Loaded) -> SetBuilt:
    """Nothing has been written or trained by then.

    Raises:
        RecipeError: with every problem found. DataError: a size that the source does not have.
    """
    recipe, problems = loaded.recipe, Problems(loaded)
    assert isinstance(recipe, MetaMultiTaskRecipe)
    learner = make_set_learner(recipe, problems)
    options = source_options(recipe, problems)
    if options is not None:
        require_points(recipe, problems)
    for unknown in (one for one in recipe.baselines if one not in BASELINES):
        message = f"no arm {unknown!r} of sets; there are {', '.join(BASELINES)}"
        problems.add("baselines", message, code="recipe.unknown_name")
    problems.raise_any()
    if learner is None or options is None:
        raise loaded.error(problems.found)
    train = source_of(recipe, shape_of(recipe), ("train", recipe.seed))
    resolved = with_fields(recipe, learner)
    return SetBuilt(resolved, learner, problem_of(learner, train), train, validation_source(recipe))


def require_points(recipe: MetaMultiTaskRecipe, problems: Problems) -> None:
    """A set of regressions has points, and no way, shot or backbone."""
    sizes = recipe.sets
    if sizes.points is None:
        hint = "sets.points=[3,20]"
        problems.add("sets.points", "sets.points is missing", hint, code="recipe.missing_key")
    for key, value in (
        ("sets.tasks", sizes.tasks),
        ("sets.way", sizes.way),
        ("sets.shot", sizes.shot),
        ("backbone", recipe.backbone),
    ):
        if value is not None:
            message = f"{key} is of classifications; {recipe.data.source} has sets of regressions"
            problems.add(key, message, "leave it out", code="recipe.invalid")


def problem_of(learner: SetLearner, source: SetSource) -> SetProblem:
    """The network for the rows and tasks of a source."""
    return SetProblem(learner.network(source.inputs, len(source.names)))


def shape_of(recipe: MetaMultiTaskRecipe) -> SetShape:
    assert recipe.sets.points is not None
    return SetShape(recipe.sets.points, recipe.sets.query, recipe.train.meta_batch)


def validation_source(recipe: MetaMultiTaskRecipe) -> SetSource:
    """The same sets for every run."""
    points = VALIDATION_POINTS if recipe.evaluate.shot is None else recipe.evaluate.shot
    shape = SetShape(points, recipe.evaluate.query or VALIDATION_QUERIES, VALIDATION_GROUP)
    return source_of(recipe, shape, ("val", 0))


def source_options(recipe: MetaMultiTaskRecipe, problems: Problems) -> SetOptions | None:
    """The options of the source; None where a problem was added."""
    if recipe.data.source not in SETS:
        known = ", ".join([*SETS, *CLASS_SETS])
        message = f"no source of sets {recipe.data.source!r}; there are {known}"
        problems.add("data.source", message, code="recipe.unknown_name")
        return None
    of = SETS[recipe.data.source].options
    made: SetOptions | None = make_options(of, recipe.data.options, "data", problems)
    return made


def make_set_learner(recipe: MetaMultiTaskRecipe, problems: Problems) -> SetLearner | None:
    """The learner of the table; None where a problem was added."""
    block, entry = recipe.algorithm, ALGORITHMS.get(recipe.algorithm.name)
    if entry is None or entry.family != "meta-multitask":
        known = ", ".join(names("meta-multitask"))
        message = f"algorithm.name {block.name!r} does not learn sets; there are {known}"
        problems.add("algorithm.name", message, code="recipe.unknown_name")
        return None
    given = {**block.options, **json.loads(json.dumps(dict(entry.preset)))}
    return make_options(entry.load(), given, "algorithm", problems)


def with_fields(recipe: MetaMultiTaskRecipe, learner: SetLearner) -> MetaMultiTaskRecipe:
    """The recipe with every field of the learner written out."""
    plain = recipe.plain()
    plain["algorithm"] = {"name": recipe.algorithm.name, **written_out(learner)}
    return MetaMultiTaskRecipe.model_validate(plain)


def restore_set_learner(recipe: MetaMultiTaskRecipe) -> SetLearner:
    """The learner of a recipe that was checked before (a model's own)."""
    made: SetLearner = parsed(ALGORITHMS[recipe.algorithm.name].load(), recipe.algorithm.options)
    return made
