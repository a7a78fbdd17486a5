"""Recipe, inputs and heads to the network of a multi-task model."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

from pydantic import JsonValue

from metacli.engine.models.inputs import InputSpec
from metacli.engine.models.parts import TaskHeads
from metacli.nn.backbones.table import Layered, make_backbone
from metacli.nn.multi_task import Encoder, TaskProblem
from metacli.nn.selected import ChosenProblem, Trained, repeated
from metacli.nn.sharing import make_sharing
from metacli.nn.sharing.grouped import grouped
from metacli.schema.multi_task import MultiTaskRecipe


def make_task_problem(
    recipe: MultiTaskRecipe, inputs: InputSpec, heads: TaskHeads
) -> Trained | ChosenProblem:
    """The stateless network of a model; of a guarded one both of its networks."""
    together = repeated(trained_problem(recipe, inputs, heads), heads.trainings)
    if not heads.guard:
        return together
    alone = repeated(trained_problem(single_recipe(recipe), inputs, heads), heads.trainings)
    return ChosenProblem(together, alone, tuple(one == "together" for one in heads.guard))


def trained_problem(recipe: MultiTaskRecipe, inputs: InputSpec, heads: TaskHeads) -> TaskProblem:
    """The stateless network of a resolved recipe, as it is trained."""
    sizes, encoder = trunk_of(recipe, inputs)
    sharing = make_sharing(recipe.sharing.name, recipe.sharing.options)
    if isinstance(recipe.groups, tuple):
        sharing = grouped(sharing, numbered(recipe.groups, heads.tasks))
    return TaskProblem(
        sharing,
        sizes,
        tuple(kind == "classification" for kind in heads.kinds),
        heads.metric,
        # Models of before several classes were possible have no labels written down.
        classes=tuple(map(len, heads.labels)),
        encoder=encoder,
        columns=prod(inputs.shape) if encoder is not None else 0,
    )


def trunk_of(recipe: MultiTaskRecipe, inputs: InputSpec) -> tuple[tuple[int, ...], Encoder | None]:
    """The inputs and hidden units of the trunk, and what reads an example before it."""
    backbone = make_backbone(recipe.backbone.name, recipe.backbone.options)
    if isinstance(backbone, Layered):
        return (prod(inputs.shape), *backbone.hidden), None
    module, features = backbone.build(inputs.shape)
    return (features,), Encoder(module, inputs.shape)


def numbered(
    groups: tuple[tuple[str, ...], ...], tasks: Sequence[str]
) -> tuple[tuple[int, ...], ...]:
    """Groups of names as task numbers; a task in none of them is alone."""
    number = {name: at for at, name in enumerate(tasks)}
    given = [tuple(number[name] for name in group) for group in groups if group]
    inside = {task for group in given for task in group}
    return (*given, *((task,) for task in range(len(tasks)) if task not in inside))


def single_recipe(recipe: MultiTaskRecipe) -> MultiTaskRecipe:
    """The recipe of the same network for each task by itself."""
    plain = recipe.plain()
    alone: dict[str, JsonValue] = {"name": "none"}
    if "share" in plain["sharing"]:
        alone = {**plain["sharing"], "share": False}
    plain |= {"sharing": alone, "weighting": {"name": "equal"}, "surgery": None}
    return MultiTaskRecipe.model_validate(plain | {"groups": None, "guard": False})
