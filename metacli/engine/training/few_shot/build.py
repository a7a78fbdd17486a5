"""A recipe of kind meta made: learner, backbone, network and what one example looks like."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from metacli.algorithms import canonical
from metacli.algorithms.learner import Learner
from metacli.compiled import keep_programs, require_compiler
from metacli.data.catalogue.registry import DATASETS
from metacli.data.few_shot.class_batches import num_labels
from metacli.engine.encoders.parameters import with_encoder
from metacli.engine.models.beginnings import fitted_to
from metacli.engine.models.inputs import InputSpec
from metacli.engine.models.model import FewShotModel
from metacli.engine.models.networks import make_problem
from metacli.engine.results.base import Json
from metacli.engine.storage.paths import cache_root
from metacli.engine.training.few_shot.checks import check_fit
from metacli.engine.training.few_shot.compiling import worth_compiling
from metacli.engine.training.few_shot.execution import named_chunk, resolve_execution
from metacli.engine.training.few_shot.sources import (
    Kind,
    describe_data,
    has_class_tasks,
    pool_of,
)
from metacli.engine.training.loop import Snapshot
from metacli.engine.training.options import make_learner, make_named, replaced, written_out
from metacli.engine.training.problems import Problems
from metacli.nn.backbones.table import Backbone, backbones
from metacli.nn.problem import Problem
from metacli.schema.few_shot import FewShotRecipe
from metacli.schema.load import Loaded
from metacli.schema.values import largest


@dataclass(frozen=True)
class FewShotBuilt:
    """Everything a recipe of kind meta names, made.

    Args:
        recipe: fully resolved: every default and every `auto` written out.
        deployed: the learner with the fields that `evaluate` replaces: how it is validated and
            shipped.
        kind: of its tasks.
        way: classes of a fixed head; the largest way of a range.
        compiling: what is said of a program that `auto` takes.
    """

    recipe: FewShotRecipe
    learner: Learner
    deployed: Learner
    inputs: InputSpec
    kind: Kind
    way: int
    compiling: str | None = None

    @cached_property
    def problem(self) -> Problem:
        """As it is trained; a model is used in full precision."""
        made = make_problem(self.recipe, self.learner, self.inputs, self.way)
        train = self.recipe.train
        compiled = train.execution == "compiled"
        return dataclasses.replace(made, precision=train.precision, compiled=compiled)

    def model(
        self,
        reached: Snapshot,
        provenance: Mapping[str, Json],
        scores: Mapping[str, Json] | None = None,
    ) -> FewShotModel:
        """The model of a state that training reached. Raises as `with_encoder`."""
        return FewShotModel(
            recipe=self.recipe,
            params=with_encoder(self.recipe, reached.params),
            state=reached.state,
            inputs=self.inputs,
            kind=self.kind,
            way=self.way,
            scores=scores or {},
            provenance=provenance,
        )


def build_few_shot(loaded: Loaded, device: str = "cpu") -> FewShotBuilt:
    """Nothing has been written or trained by then.

    Args:
        device: the kind that it is trained on, for `train.execution: auto`.

    Raises:
        RecipeError: with every problem found.
        DataError: the data cannot be read.
    """
    recipe, problems = loaded.recipe, Problems(loaded)
    if recipe.kind != "meta":
        message = f"a recipe of kind {recipe.kind}, meta-train trains kind meta"
        problems.add("kind", message, "metacli recipes lists them", code="recipe.invalid")
        raise loaded.error(problems.found)
    learner = make_learner(recipe.algorithm, problems)
    backbone: Backbone | None = make_named(
        recipe.backbone, backbones(recipe.backbone.name), "backbone", problems
    )
    if learner is None or backbone is None:
        raise loaded.error(problems.found)
    problems.raise_any()
    inputs, kind = describe_data(recipe)
    backbone = fitted_to(backbone, inputs)
    learner = with_classes(learner, recipe, kind, problems)
    deployed = replaced(learner, recipe.evaluate.replace, "evaluate", problems)
    check_fit(recipe, learner, backbone, inputs, kind, problems)
    problems.raise_any()
    if recipe.train.execution == "compiled":
        require_compiler()
    execution, chunk = resolve_execution(recipe, learner, inputs, device)
    said = worth_compiling(recipe, learner, inputs, execution, device)
    if said is not None:
        execution, chunk = "compiled", named_chunk(recipe.train)
    if execution == "compiled":
        keep_programs(cache_root() / "programs")
    resolved = resolve(recipe, learner, backbone, execution, chunk)
    way = largest(recipe.episodes.way)
    return FewShotBuilt(resolved, learner, deployed, inputs, kind, way, said)


def with_classes(
    learner: Learner, recipe: FewShotRecipe, kind: Kind, problems: Problems
) -> Learner:
    """The learner with the number of classes of the training pool, where it needs that."""
    if learner.trains_on != "classes" or kind != "classification":
        return learner
    if has_class_tasks(recipe):
        message = f"{recipe.algorithm.name} learns the classes of a pool, and here tasks are new"
        problems.add("algorithm.name", message, "joint learns all tasks with one head")
        return learner
    count, given = num_labels(pool_of(recipe, "train")), written_out(learner)["classes"]
    if given not in (None, count):
        message = f"the training data have {count} classes, algorithm.classes is {given}"
        problems.add("algorithm.classes", message, "leave algorithm.classes out")
    return replaced(learner, {"classes": count}, "algorithm", problems)


def resolve(
    recipe: FewShotRecipe, learner: Learner, backbone: Backbone, execution: str, chunk: int
) -> FewShotRecipe:
    """The recipe with every default and every `auto` written out."""
    plain = recipe.plain()
    if recipe.data.source not in DATASETS:  # the run is resumed from any folder
        plain["data"]["source"] = str(Path(recipe.data.source).absolute())
    plain["algorithm"] = {"name": canonical(recipe.algorithm.name), **written_out(learner)}
    plain["backbone"] = {"name": recipe.backbone.name, **written_out(backbone)}
    if plain["backbone"].get("weights"):
        plain["backbone"]["weights"] = str(Path(plain["backbone"]["weights"]).absolute())
    plain["train"] |= {"execution": execution, "chunk": chunk}
    return FewShotRecipe.model_validate(plain)
