"""What the blocks of a recipe of kind multitask do not allow together, or with its data."""

from __future__ import annotations

from typing import Any

from metacli.data.multi_task.dataset import MultiTaskData
from metacli.data.multi_task.read_as import TextColumns
from metacli.engine.models.inputs import InputSpec
from metacli.engine.training.build import statistics_of, unknown_name
from metacli.errors import Finding
from metacli.schema.load import Loaded
from metacli.schema.multi_task import MultiTaskRecipe


def check_fit(
    recipe: MultiTaskRecipe, sharing: Any, backbone: Any, weighting: Any, loaded: Loaded
) -> list[Finding]:
    """What each block allows by itself but not together."""
    found: list[Finding] = []
    shares_layers = sharing.needs_trunk and layered(backbone)

    def mismatch(key: str, message: str, hint: str | None = None) -> None:
        found.append(loaded.finding(key, message, code="recipe.mismatch", hint=hint))

    name, solved = recipe.sharing.name, hasattr(sharing, "solve")
    if sharing.needs_trunk and not shares_layers:
        hint = "backbone={name: mlp, hidden: [64]}, or sharing.name=coupled"
        mismatch(
            "sharing.name", f"{name} sharing shares the backbone's layers: there are none", hint
        )
    if solved and layered(backbone):
        mismatch("backbone.name", f"{name} is for a linear backbone", "backbone.name=linear")
    if solved and recipe.weighting.name != "equal":
        mismatch("weighting.name", f"{name} is solved exactly: every row counts the same")
    if getattr(weighting, "needs_validation", False) and not shares_layers:
        mismatch("weighting.name", "auto-lambda weighs what tasks share", "sharing.name=hard")
    if name == "auxiliary" and not getattr(weighting, "needs_validation", False):
        message = "auxiliary sharing is for weights that are learned: even ones are hard sharing"
        mismatch("sharing.name", message, "weighting.name=auto-lambda")
    if name == "auxiliary" and not hasattr(backbone, "hidden"):
        mismatch("sharing.name", f"auxiliary is for tables, {recipe.backbone.name} for pictures")
    if recipe.surgery is not None and not shares_layers:
        mismatch("surgery.name", f"{name} sharing has no shared parameters to balance")
    if recipe.surgery is not None and recipe.weighting.name != "equal":
        mismatch("surgery.name", "a surgery balances the tasks itself", "weighting.name=equal")
    if getattr(weighting, "needs_norms", False) and not shares_layers:
        mismatch("weighting.name", f"{recipe.weighting.name} needs a shared layer")
    if getattr(weighting, "needs_norms", False) and recipe.groups is not None:
        mismatch("weighting.name", f"{recipe.weighting.name} needs a layer that all tasks share")
    for key in ("guard", "groups"):
        if getattr(recipe, key) and name == "none":
            mismatch(key, f"{key} is about what tasks share: sharing none is nothing")
    if recipe.groups is not None and not hasattr(backbone, "hidden"):
        mismatch("groups", f"groups are for tables, {recipe.backbone.name} is for pictures")
    return found


def layered(backbone: Any) -> bool:
    """Whether it has layers that tasks can share."""
    return bool(getattr(backbone, "hidden", True))


def check_data(
    recipe: MultiTaskRecipe, sharing: Any, backbone: Any, table: MultiTaskData, loaded: Loaded
) -> list[Finding]:
    """What the data do not allow."""
    found: list[Finding] = []
    name, inputs = recipe.backbone.name, input_of_tasks(table)
    scheme = recipe.sharing.name
    foreign = set(table.kinds) - set(getattr(sharing, "kinds", table.kinds))
    if foreign:
        message = f"{scheme} is for {sharing.kinds[0]}, {table.name} has {foreign.pop()}"
        found.append(
            loaded.finding("sharing.name", message, code="recipe.mismatch", hint="coupled")
        )
    if scheme in ("coupled", "auxiliary", "mean-logistic") and max(map(len, table.labels)) > 2:
        message = f"{scheme} is for classes in pairs, {table.name} has more"
        found.append(loaded.finding("sharing.name", message, code="recipe.mismatch", hint="hard"))
    if hasattr(sharing, "wrong") and (wrong := sharing.wrong(len(table.tasks))):
        found.append(loaded.finding("sharing.coupling", wrong, code="recipe.value"))
    found += check_groups(recipe.groups, table, loaded)
    if inputs.kind not in backbone.takes:
        message = f"backbone {name} does not take {inputs.kind}"
        found.append(loaded.finding("backbone.name", message, code="recipe.mismatch", hint="mlp"))
    elif statistics_of(backbone) != "none":
        message = "statistics of a batch would mix the tasks"
        found.append(
            loaded.finding(
                "backbone.norm", message, code="recipe.mismatch", hint="backbone.norm=group"
            )
        )
    return found


def check_groups(groups: Any, table: MultiTaskData, loaded: Loaded) -> list[Finding]:
    """Names in `groups` that are no task of the table, or twice."""
    if groups is None or groups == "auto":
        return []
    every = [name for group in groups for name in group]
    found = [
        unknown_name(loaded, "groups", name, list(table.tasks))
        for name in every
        if name not in table.tasks
    ]
    twice = sorted({name for name in every if every.count(name) > 1})
    message = f"a task is in one group, found twice: {', '.join(twice)}"
    return found + ([loaded.finding("groups", message, code="recipe.value")] if twice else [])


def input_of_tasks(table: MultiTaskData) -> InputSpec:
    """One example: pixels where it has a picture's shape, columns of numbers otherwise."""
    if table.packed:
        assert isinstance(table.read, TextColumns)
        return InputSpec("text", (table.packed,), reader=table.read.encoder.as_dict())
    if not table.shape:
        return InputSpec("numbers", (table.num_columns,))
    assert table.levels is not None
    return InputSpec("image", table.shape, invert=table.levels[1] < 0)
