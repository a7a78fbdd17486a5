"""What the blocks of a recipe of kind multitask do not allow together, or with its data."""

from __future__ import annotations

from metacli.algorithms.multitask.balancing import Surgery, Weighting
from metacli.algorithms.multitask.weighting.auto_lambda import AutoLambda
from metacli.data.multi_task.dataset import MultiTaskData
from metacli.data.multi_task.read_as import TextColumns
from metacli.engine.models.inputs import InputSpec
from metacli.engine.models.networks import statistics_of
from metacli.engine.training.problems import Problems
from metacli.nn.backbones.table import Backbone, Layered
from metacli.nn.sharing.scheme import ForKinds, ForSizes, Sharing, Solvable
from metacli.schema.multi_task import MultiTaskRecipe
from metacli.schema.values import Groups


def check_fit(
    recipe: MultiTaskRecipe,
    sharing: Sharing,
    backbone: Backbone,
    weighting: Weighting,
    surgery: Surgery | None,
    problems: Problems,
) -> None:
    """What each block allows by itself but not together."""
    check_sharing(recipe, sharing, backbone, weighting, problems)
    shares_layers = sharing.needs_trunk and layered(backbone)
    check_balancing(recipe, shares_layers, weighting, surgery, problems)
    if recipe.sharing.name == "none":
        for key, value in (("guard", recipe.guard), ("groups", recipe.groups)):
            if value:
                problems.add(key, f"{key} is about what tasks share: sharing none is nothing")
    if recipe.groups is not None and not isinstance(backbone, Layered):
        message = f"groups are for tables, {recipe.backbone.name} is for images"
        problems.add("groups", message)


def check_sharing(
    recipe: MultiTaskRecipe,
    sharing: Sharing,
    backbone: Backbone,
    weighting: Weighting,
    problems: Problems,
) -> None:
    """The scheme with the backbone and the weights of the tasks."""
    name, even = recipe.sharing.name, not isinstance(weighting, AutoLambda)
    if sharing.needs_trunk and not layered(backbone):
        message = f"{name} sharing shares the backbone's layers: there are none"
        hint = "backbone.name=mlp backbone.hidden=[64], or sharing.name=coupled"
        problems.add("sharing.name", message, hint)
    if isinstance(sharing, Solvable) and layered(backbone):
        problems.add("backbone.name", f"{name} is for a linear backbone", "backbone.name=linear")
    if isinstance(sharing, Solvable) and recipe.weighting.name != "equal":
        problems.add("weighting.name", f"{name} is solved exactly: every row counts the same")
    if name == "auxiliary" and even:
        message = "auxiliary sharing is for weights that are learned: even ones are hard sharing"
        problems.add("sharing.name", message, "weighting.name=auto-lambda")
    if name == "auxiliary" and not isinstance(backbone, Layered):
        message = f"auxiliary is for tables, {recipe.backbone.name} for images"
        problems.add("sharing.name", message)


def check_balancing(
    recipe: MultiTaskRecipe,
    shares_layers: bool,
    weighting: Weighting,
    surgery: Surgery | None,
    problems: Problems,
) -> None:
    """Weighting and surgery with what the tasks share."""
    name = recipe.weighting.name
    if isinstance(weighting, AutoLambda) and not shares_layers:
        problems.add("weighting.name", "auto-lambda weighs what tasks share", "sharing.name=hard")
    if recipe.surgery is not None and not shares_layers:
        message = f"{recipe.sharing.name} sharing has no shared parameters to balance"
        problems.add("surgery.name", message)
    wanted = None if surgery is None else surgery.weighting
    if wanted is not None and name != wanted:
        message = "a surgery balances the tasks itself"
        problems.add("surgery.name", message, f"weighting.name={wanted}")
    if weighting.needs_norms and not shares_layers:
        problems.add("weighting.name", f"{name} needs a shared layer")
    if weighting.needs_norms and recipe.groups is not None:
        problems.add("weighting.name", f"{name} needs a layer that all tasks share")


def layered(backbone: Backbone) -> bool:
    """Whether it has layers that tasks can share."""
    return not isinstance(backbone, Layered) or bool(backbone.hidden)


def check_data(
    recipe: MultiTaskRecipe,
    sharing: Sharing,
    backbone: Backbone,
    table: MultiTaskData,
    problems: Problems,
) -> None:
    """What the data do not allow."""
    name, scheme, inputs = recipe.backbone.name, recipe.sharing.name, input_of_tasks(table)
    if isinstance(sharing, ForKinds) and (foreign := set(table.kinds) - set(sharing.kinds)):
        message = f"{scheme} is for {sharing.kinds[0]}, {table.name} has {foreign.pop()}"
        problems.add("sharing.name", message, "coupled")
    if scheme in ("coupled", "auxiliary", "mean-logistic") and max(map(len, table.labels)) > 2:
        problems.add(
            "sharing.name", f"{scheme} is for classes in pairs, {table.name} has more", "hard"
        )
    if isinstance(sharing, ForSizes) and (wrong := sharing.wrong(len(table.tasks))):
        problems.add("sharing.coupling", wrong, code="recipe.value")
    check_groups(recipe.groups, table, problems)
    if inputs.kind not in backbone.takes:
        problems.add("backbone.name", f"backbone {name} does not take {inputs.kind}", "mlp")
    elif statistics_of(backbone) != "none":
        message = "statistics of a batch would mix the tasks"
        problems.add("backbone.norm", message, "backbone.norm=group")


def check_groups(groups: Groups, table: MultiTaskData, problems: Problems) -> None:
    """Names in `groups` that are no task of the table, or twice."""
    if groups is None or groups == "auto":
        return
    every = [name for group in groups for name in group]
    for name in every:
        if name not in table.tasks:
            problems.unknown_name("groups", name, list(table.tasks))
    twice = sorted({name for name in every if every.count(name) > 1})
    if twice:
        message = f"a task is in one group, found twice: {', '.join(twice)}"
        problems.add("groups", message, code="recipe.value")


def input_of_tasks(table: MultiTaskData) -> InputSpec:
    """One example: pixels where it has an image's shape, columns of numbers otherwise."""
    if table.packed:
        assert isinstance(table.read, TextColumns)
        return InputSpec("text", (table.packed,), reader=table.read.encoder.as_dict())
    if not table.shape:
        return InputSpec("numbers", (table.num_columns,))
    assert table.levels is not None
    return InputSpec("image", table.shape, invert=table.levels[1] < 0)
