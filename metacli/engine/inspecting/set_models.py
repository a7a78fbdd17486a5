"""`inspect` of a model of sets of tasks, adapted to one or not."""

from __future__ import annotations

from pathlib import Path

from metacli.engine.inspecting.findings import Looked, command, findings_of
from metacli.engine.results.base import Json
from metacli.engine.sets.class_adapted import AdaptedClassSet
from metacli.engine.sets.class_model import ClassSetModel
from metacli.engine.sets.model import AdaptedSet, SetModel
from metacli.engine.sets.opening import read_set_model
from metacli.errors import MetacliError

# Options of a user's sets that say nothing of such inputs.
UNUSED: dict[str, frozenset[str]] = {
    "image": frozenset({"encoder", "features"}),
    "text": frozenset({"size", "channels"}),
    "numbers": frozenset({"encoder", "features", "size", "channels"}),
}


def look_at_set_model(path: Path, name: str) -> Looked:
    """Checksums and shapes are checked when it is read."""
    try:
        model = read_set_model(path)
    except MetacliError as error:
        return Looked("model of sets", path, findings_of(error))
    if isinstance(model, AdaptedSet):
        what = "model of a set of tasks"
        steps: tuple[str, ...] = (
            command("predict", name, "ROWS"),
            command("evaluate", name, "LABELLED"),
            command("export", name),
            command("report", name),
        )
        return Looked(what, path, (), {**details(model.source), **adapted(model)}, steps)
    if isinstance(model, AdaptedClassSet):
        tasks: dict[str, Json] = {
            one.name: f"{one.known} labels{said(one.joint)}" for one in model.tasks
        }
        found = {**of_classes(model.source), "tasks": tasks, "provenance": origin(model)}
        steps = (command("predict", name, "INPUT"), command("report", name))
        return Looked("model of a set of tasks", path, (), found, steps)
    if isinstance(model, ClassSetModel):
        steps = (command("evaluate", name), command("report", name))
        return Looked("model of sets", path, (), of_classes(model), steps)
    steps = (command("evaluate", name), command("adapt", name, "SET"), command("report", name))
    return Looked("model of sets", path, (), details(model), steps)


def details(model: SetModel) -> dict[str, Json]:
    own = {"tasks_known": list(model.known) or None}
    return {**own, "input": {"kind": "numbers", "shape": [model.width]}, **common(model)}


def of_classes(model: ClassSetModel) -> dict[str, Json]:
    found = {**model.facts.as_dict(), "input": model.facts.inputs.as_dict(), **common(model)}
    unused = UNUSED[model.facts.inputs.kind]
    options = {key: value for key, value in model.recipe.data.options.items() if key not in unused}
    return {**found, "trained_on": {"source": model.recipe.data.source, **options}}


def common(model: SetModel | ClassSetModel) -> dict[str, Json]:
    """What both kinds have."""
    recipe = model.recipe
    sizes = recipe.sets.model_dump()
    return {
        "learner": recipe.algorithm.name,
        "trained_on": {"source": recipe.data.source, **recipe.data.options},
        "sets": {key: value for key, value in sizes.items() if value is not None},
        "numbers": sum(value.numel() for value in model.params.values()),
        "scores": dict(model.scores) or None,
        "provenance": dict(model.provenance) or None,
    }


def adapted(model: AdaptedSet) -> dict[str, Json]:
    """Its tasks, and which of them are answered from their own labels alone."""
    scores = {
        name: value for name, value in model.scores.items() if name not in ("tasks", "together")
    }
    return {
        "tasks": {one.name: f"{one.labels} labels{said(one.joint)}" for one in model.tasks},
        "inputs": list(model.inputs),
        "layout": model.layout,
        "scores": scores or None,
        "provenance": origin(model),
    }


def origin(model: AdaptedSet | AdaptedClassSet) -> dict[str, Json] | None:
    """Without how the tasks are coupled, which `report` draws."""
    return {key: value for key, value in model.provenance.items() if key != "coupling"} or None


def said(joint: bool) -> str:
    return "" if joint else ", answered alone"
