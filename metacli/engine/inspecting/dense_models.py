"""`inspect` of a model of dense tasks."""

from __future__ import annotations

from pathlib import Path

from metacli.engine.dense.folder import DenseModel, load_dense
from metacli.engine.inspecting.findings import Looked, command, findings_of
from metacli.engine.models.named import DENSE
from metacli.engine.results.base import Json
from metacli.errors import MetacliError
from metacli.nn.dense.targets import TASKS

WHAT = "model of dense tasks"


def look_at_dense_model(path: Path, name: str) -> Looked:
    """Checksums and shapes are checked when it is read."""
    try:
        model = load_dense(path)
    except MetacliError as error:
        return Looked(WHAT, path, findings_of(error))
    return Looked(WHAT, path, (), details(model), dense_next(name))


def dense_next(name: str) -> tuple[str, ...]:
    """What a model of dense tasks is good for."""
    return (
        command("evaluate", name),
        command("predict", name, "IMAGES", "-o", "MAPS"),
        command("report", name),
        command("export", name),
    )


def details(model: DenseModel) -> dict[str, Json]:
    recipe, provenance = model.recipe, model.provenance
    return {
        "recipe": provenance.get("recipe"),
        "kind": DENSE,
        "tasks": list(TASKS),
        "sharing": model.sharing,
        "weighting": recipe.weighting.name,
        "surgery": None if recipe.surgery is None else recipe.surgery.name,
        "backbone": recipe.plain().get("backbone"),
        "trained_on": recipe.data.source,
        "input": model.inputs.as_dict(),
        "numbers": sum(value.numel() for value in model.params.values()),
        "scores": dict(model.scores) or None,
        "provenance": dict(provenance) or None,
    }
