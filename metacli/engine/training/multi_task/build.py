"""A recipe of kind multitask made: method, rows, network and what one example looks like."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TypeVar

from metacli.algorithms import ALGORITHMS, canonical, find, names
from metacli.algorithms.multitask.balancing import Surgery, Weighting
from metacli.algorithms.multitask.meta import MetaWeighted
from metacli.algorithms.multitask.method import MultiTask, Solved
from metacli.algorithms.multitask.weighting.auto_lambda import AutoLambda
from metacli.data.catalogue.registry import DATASETS
from metacli.data.multi_task.dataset import MultiTaskData, MultiTaskRows
from metacli.data.multi_task.from_tables import plain_columns
from metacli.data.multi_task.splits import divide_rows
from metacli.data.sources import load_multi_task
from metacli.engine.models.inputs import InputSpec
from metacli.engine.models.model import MultiTaskModel
from metacli.engine.models.multi_task_networks import trained_problem
from metacli.engine.models.parts import TaskHeads
from metacli.engine.results.base import Json
from metacli.engine.scoring.checks import LOWER_IS_BETTER
from metacli.engine.storage.paths import cache_root
from metacli.engine.training.multi_task.checks import (
    check_data,
    check_fit,
    input_of_tasks,
)
from metacli.engine.training.multi_task.single_task import TaskMethod
from metacli.engine.training.options import make_named, written_out
from metacli.engine.training.problems import Problems
from metacli.engine.training.runs import Kind
from metacli.nn.backbones.table import Backbone, backbones
from metacli.nn.multi_task import TaskProblem
from metacli.nn.sharing import SHARING
from metacli.nn.sharing.scheme import Sharing, Solvable
from metacli.schema.blocks import Named
from metacli.schema.load import Loaded
from metacli.schema.multi_task import MultiTaskRecipe
from metacli.schema.recipe import Recipe
from metacli.types import Params

Balancing = TypeVar("Balancing")


@dataclass(frozen=True)
class Parts:
    """What the blocks of the recipe name."""

    sharing: Sharing
    backbone: Backbone
    weighting: Weighting
    surgery: Surgery | None


@dataclass(frozen=True)
class MultiTaskBuilt:
    """Everything a recipe of kind multitask names, made.

    Args:
        recipe: fully resolved: every default written out.
        kind: whether the metric is an error (regression) or a success.
    """

    recipe: MultiTaskRecipe
    method: TaskMethod
    inputs: InputSpec
    kind: Kind
    rows: MultiTaskRows

    @property
    def table(self) -> MultiTaskData:
        return self.rows.table

    @cached_property
    def heads(self) -> TaskHeads:
        """What a model remembers of its tasks."""
        return describe_tasks(self.table)

    @cached_property
    def problem(self) -> TaskProblem:
        return trained_problem(self.recipe, self.inputs, self.heads)

    def model(
        self, recipe: MultiTaskRecipe, params: Params, provenance: Mapping[str, Json]
    ) -> MultiTaskModel:
        """A model of all tasks; `recipe` is the run's, or that of what it is compared with."""
        return MultiTaskModel(
            recipe=recipe,
            params=params,
            inputs=self.inputs,
            heads=self.heads,
            provenance=provenance,
        )


def build_multi_task(loaded: Loaded) -> MultiTaskBuilt:
    """Nothing has been written or trained by then.

    Raises:
        RecipeError: with every problem found.
        DataError: the data cannot be read.
    """
    recipe, problems = loaded.recipe, Problems(loaded)
    if recipe.kind != "multitask":
        message = f"a recipe of kind {recipe.kind}, multitask trains kind multitask"
        problems.add("kind", message, "metacli recipes lists them", code="recipe.invalid")
        raise loaded.error(problems.found)
    parts = make_parts(recipe, problems)
    if parts is None:
        raise loaded.error(problems.found)
    check_fit(recipe, parts.sharing, parts.backbone, parts.weighting, parts.surgery, problems)
    problems.raise_any()
    rows = make_rows(recipe)
    check_data(recipe, parts.sharing, parts.backbone, rows.table, problems)
    problems.raise_any()
    kind: Kind = "regression" if rows.table.metric in LOWER_IS_BETTER else "classification"
    resolved = resolve(recipe, parts)
    return MultiTaskBuilt(resolved, method_of(parts), input_of_tasks(rows.table), kind, rows)


def make_parts(recipe: MultiTaskRecipe, problems: Problems) -> Parts | None:
    """None where problems were added."""
    sharing: Sharing | None = make_named(recipe.sharing, SHARING, "sharing", problems)
    backbone: Backbone | None = make_named(
        recipe.backbone, backbones(recipe.backbone.name), "backbone", problems
    )
    weighting: Weighting | None = make_balancing(recipe.weighting, "weighting", problems)
    surgery: Surgery | None = None
    if recipe.surgery is not None:
        surgery = make_balancing(recipe.surgery, "surgery", problems)
    if problems.found or sharing is None or backbone is None or weighting is None:
        return None
    return Parts(sharing, backbone, weighting, surgery)


def make_balancing(block: Named, key: str, problems: Problems) -> Balancing | None:
    """A weighting or a surgery of the table; None where a problem was added."""
    inside = f"multitask.{key}."
    known = [name for name in names("multitask") if ALGORITHMS[name].module.startswith(inside)]
    table: dict[str, Callable[[], type[Balancing]]] = {
        name: ALGORITHMS[name].load for name in known
    }
    named = block.model_copy(update={"name": canonical(block.name)})
    entry = find(named.name, "multitask")
    if entry is not None and entry.outside:
        found, base = entry.load(), Weighting if key == "weighting" else Surgery
        table |= {named.name: entry.load} if issubclass(found, base) else {}
    return make_named(named, table, key, problems)


def method_of(parts: Parts) -> TaskMethod:
    """How a step on all tasks is taken."""
    if isinstance(parts.sharing, Solvable):
        return Solved()
    if isinstance(parts.weighting, AutoLambda):
        return MetaWeighted(weighting=parts.weighting)
    return MultiTask(weighting=parts.weighting, surgery=parts.surgery)


def make_rows(recipe: Recipe) -> MultiTaskRows:
    """The data, divided. Raises DataError."""
    table, options = load_multi_task(recipe.data.source, recipe.data.options, cache_root())
    parts = divide_rows(table, options.split_seed)
    return MultiTaskRows(table, parts, ("train", recipe.seed), options.rows)


def describe_tasks(table: MultiTaskData) -> TaskHeads:
    """What a model remembers of its tasks."""
    return TaskHeads(
        tasks=tuple(table.tasks),
        kinds=tuple(table.kinds),
        metric=table.metric,
        labels=tuple(map(tuple, table.labels)),
        read=(table.read or plain_columns(table)).as_dict(),
    )


def resolve(recipe: MultiTaskRecipe, parts: Parts) -> MultiTaskRecipe:
    """The recipe with every default written out."""
    plain = recipe.plain()
    if recipe.data.source not in DATASETS:  # the run is resumed from any folder
        plain["data"]["source"] = str(Path(recipe.data.source).absolute())
    plain["sharing"] = {"name": recipe.sharing.name, **written_out(parts.sharing)}
    plain["backbone"] = {"name": recipe.backbone.name, **written_out(parts.backbone)}
    plain["weighting"] = {"name": canonical(recipe.weighting.name), **written_out(parts.weighting)}
    if recipe.surgery is not None and parts.surgery is not None:
        plain["surgery"] = {"name": canonical(recipe.surgery.name), **written_out(parts.surgery)}
    plain["train"] |= {"execution": "loop", "chunk": 1}
    if isinstance(parts.sharing, Solvable):
        plain["train"]["steps"] = 1
    return MultiTaskRecipe.model_validate(plain)
