"""A model of sets as a folder: `model.json`, `weights.safetensors`, a README and the checksums of
all three; the keys of `model.json` are those of every model, with `kind: sets`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import torch
from pydantic import JsonValue, ValidationError

from metacli import __version__
from metacli.engine.models.folder import FORMAT, MODEL, WEIGHTS
from metacli.engine.results.base import Json
from metacli.engine.sets.model import AdaptedSet, SetModel, SetTask
from metacli.engine.storage.disk import damaged
from metacli.engine.storage.serial import bytes_to_tensors, json_bytes, tensors_to_bytes
from metacli.engine.storage.writer import read_folder, write_folder
from metacli.errors import BundleError
from metacli.schema.meta_multi_task import MetaMultiTaskRecipe
from metacli.schema.recipe import parse_recipe
from metacli.types import Batch, Params

KIND = "sets"
SUPPORT = "support."


def is_set_model(path: Path) -> bool:
    """Whether a folder holds a model of sets; False for anything that is no readable model."""
    try:
        document = json.loads((path / MODEL).read_bytes())
    except (OSError, ValueError):
        return False
    return isinstance(document, dict) and document.get("kind") == KIND


def save(model: SetModel | AdaptedSet, folder: Path, *, replace: bool = False) -> None:
    """Write the folder whole. Raises as `write_folder`."""
    source = model if isinstance(model, SetModel) else model.source
    params = dict(source.params)
    if isinstance(model, AdaptedSet):
        params |= support_params(model)
    document = document_of(model, source)
    files = {
        MODEL: json_bytes(document),
        WEIGHTS: tensors_to_bytes(params),
        "README.md": card(model, source).encode(),
    }
    write_folder(folder, files, replace=replace)


def support_params(model: AdaptedSet) -> Params:
    """What the model answers from, beside the weights."""
    support = model.support
    assert support.mask is not None
    return {
        f"{SUPPORT}x": support.x,
        f"{SUPPORT}y": support.y,
        f"{SUPPORT}mask": support.mask.to(support.y.dtype),
        f"{SUPPORT}roles": model.roles,
    }


def document_of(model: SetModel | AdaptedSet, source: SetModel) -> dict[str, Json]:
    """What `model.json` says."""
    answers: dict[str, Json] = {"known": list(source.known)}
    if isinstance(model, AdaptedSet):
        answers |= {
            "tasks": [
                {"name": one.name, "joint": one.joint, "labels": one.labels} for one in model.tasks
            ],
            "inputs": list(model.inputs),
            "layout": model.layout,
            "target": model.target,
            "task": model.task,
        }
    return {
        "format": FORMAT,
        "metacli": __version__,
        "kind": KIND,
        "input": {"kind": "numbers", "shape": [source.width]},
        "recipe": source.recipe.plain(),
        "scores": dict(model.scores),
        "provenance": dict(model.provenance),
        "classes": None,
        "method": "native" if isinstance(model, AdaptedSet) else None,
        "options": {},
        "state": source.state,
        "way": len(model.tasks) if isinstance(model, AdaptedSet) else len(source.known),
        "answers": answers,
    }


def load(folder: Path) -> SetModel | AdaptedSet:
    """Read a model of sets, checksums first.

    Raises:
        BundleError: damaged, or not a model of sets.
    """
    files = read_folder(folder)
    try:
        document = json.loads(files[MODEL])
        if document["kind"] != KIND:
            raise BundleError("not a model of sets", code="model.kind", where=str(folder))
        params = bytes_to_tensors(files[WEIGHTS], str(folder / WEIGHTS))
        found = from_document(document, params)
    except (KeyError, TypeError, ValueError, ValidationError) as error:
        raise damaged(folder / MODEL, f"is not what metacli writes: {error!r}") from None
    source = found if isinstance(found, SetModel) else found.source
    for name, wanted in source.weights().items():
        have = source.params.get(name)
        if have is None or have.shape != wanted.shape:
            shape = "is missing" if have is None else f"has shape {list(have.shape)}"
            raise BundleError(
                f"{name} {shape}, the network of {MODEL} has {list(wanted.shape)}",
                code="model.weights",
                where=str(folder / WEIGHTS),
                hint="use another copy, or make it again",
            )
    return found


def from_document(document: Mapping[str, JsonValue], params: Params) -> SetModel | AdaptedSet:
    """The model that `model.json` describes."""
    recipe = parse_recipe(as_mapping(document["recipe"]))
    if not isinstance(recipe, MetaMultiTaskRecipe):
        raise ValueError(f"a model of sets with a recipe of kind {recipe.kind}")
    answers = as_mapping(document["answers"])
    shape = as_mapping(document["input"])["shape"]
    facts = {name: as_mapping(document[name]) for name in ("scores", "provenance")}
    source = SetModel(
        recipe,
        {name: value for name, value in params.items() if not name.startswith(SUPPORT)},
        dict(as_mapping(document["state"])),
        names_of(answers["known"]),
        int(as_list(shape)[0]),  # type: ignore[arg-type]
        **facts,
    )
    if document["method"] is None:
        return source
    x, y, mask, roles = (params[f"{SUPPORT}{name}"] for name in ("x", "y", "mask", "roles"))
    tasks = (as_mapping(one) for one in as_list(answers["tasks"]))
    return AdaptedSet(
        source,
        tuple(SetTask(str(t["name"]), bool(t["joint"]), int(str(t["labels"]))) for t in tasks),
        names_of(answers["inputs"]),
        str(answers["layout"]),
        Batch(x, y, mask > 0.5),
        roles.to(torch.long),
        target=None if answers["target"] is None else str(answers["target"]),
        task=None if answers["task"] is None else str(answers["task"]),
        **facts,
    )


def as_mapping(value: JsonValue) -> dict[str, JsonValue]:
    if not isinstance(value, dict):
        raise TypeError(f"{value!r} is no block of keys")
    return value


def as_list(value: JsonValue) -> list[JsonValue]:
    if not isinstance(value, list):
        raise TypeError(f"{value!r} is no list")
    return value


def names_of(value: JsonValue) -> tuple[str, ...]:
    return tuple(str(one) for one in as_list(value))


def card(model: SetModel | AdaptedSet, source: SetModel) -> str:
    """The README of the folder."""
    name = source.recipe.algorithm.name
    if isinstance(model, SetModel):
        known = ", ".join(model.known) or "any"
        lines = [
            "# A model of sets of tasks",
            "",
            f"`{name}`, meta-trained on sets of tasks of `{source.recipe.data.source}`: it learns "
            f"the tasks of a new set together, from a few labels of each. It knows: {known}.",
            "",
            "```",
            "metacli adapt THIS_FOLDER SET.csv",
            "metacli evaluate THIS_FOLDER",
            "```",
        ]
    else:
        labels = ", ".join(f"{one.name} ({one.labels} labels)" for one in model.tasks)
        lines = [
            "# A set of tasks, learned together",
            "",
            f"`{name}` adapted to {labels}; inputs: {', '.join(model.inputs)}.",
            "",
            "```",
            "metacli predict THIS_FOLDER ROWS.csv",
            "```",
        ]
    return "\n".join([*lines, ""])
