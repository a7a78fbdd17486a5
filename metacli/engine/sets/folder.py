"""A model of sets as a folder: `model.json`, `weights.safetensors`, a README and the checksums of
all three; the keys of `model.json` are those of every model, with `kind: sets`."""

from __future__ import annotations

import json
from pathlib import Path

import torch

from metacli import __version__
from metacli.engine.models.folder import FORMAT, MODEL, WEIGHTS
from metacli.engine.models.named import SETS
from metacli.engine.models.probe import MISFITS, in_a_line
from metacli.engine.results.base import Json
from metacli.engine.sets.document import SetDocument
from metacli.engine.sets.model import AdaptedSet, SetModel, SetTask
from metacli.engine.storage.disk import damaged
from metacli.engine.storage.serial import bytes_to_tensors, json_bytes, tensors_to_bytes
from metacli.engine.storage.writer import read_folder, write_folder
from metacli.errors import BundleError
from metacli.schema.meta_multi_task import MetaMultiTaskRecipe
from metacli.schema.recipe import parse_recipe
from metacli.types import Batch, Params

SUPPORT = "support."


def save(model: SetModel | AdaptedSet, folder: Path, *, replace: bool = False) -> None:
    """Write the folder whole. Raises as `write_folder`."""
    source = model if isinstance(model, SetModel) else model.source
    params = dict(source.params)
    if isinstance(model, AdaptedSet):
        params |= {**support_params(model.support), f"{SUPPORT}roles": model.roles}
    document = document_of(model, source)
    files = {
        MODEL: json_bytes(document),
        WEIGHTS: tensors_to_bytes(params),
        "README.md": card(model, source).encode(),
    }
    write_folder(folder, files, replace=replace)


def support_params(support: Batch) -> Params:
    """The labelled examples that a model answers from, beside its weights."""
    assert support.mask is not None
    return {
        f"{SUPPORT}x": support.x,
        f"{SUPPORT}y": support.y,
        f"{SUPPORT}mask": support.mask.to(support.y.dtype),
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
        "kind": SETS,
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
    if MODEL not in files or WEIGHTS not in files:
        raise BundleError("not a model folder", code="model.not_found", where=str(folder))
    try:
        require_no_classes(files[MODEL], folder)
        document = SetDocument.model_validate_json(files[MODEL])
        params = bytes_to_tensors(files[WEIGHTS], str(folder / WEIGHTS))
        found = from_document(document, params)
        source = found if isinstance(found, SetModel) else found.source
        require_set_weights(source, folder)
        if isinstance(found, AdaptedSet):
            require_set_answers(found)
    except MISFITS as error:
        raise damaged(folder / MODEL, f"is not what metacli writes: {in_a_line(error)}") from None
    return found


def require_no_classes(content: bytes, folder: Path) -> None:
    """Raises BundleError for a model of sets of classifications, ValueError for no JSON."""
    document = json.loads(content)
    answers = document.get("answers") if isinstance(document, dict) else None
    if isinstance(answers, dict) and "classes" in answers:
        raise BundleError(
            "this model is of sets of classifications, which adapt, predict and evaluate take",
            code="model.kind",
            where=str(folder),
            hint=f"metacli evaluate {folder}",
        )


def from_document(document: SetDocument, params: Params) -> SetModel | AdaptedSet:
    """The model that `model.json` describes."""
    recipe = parse_recipe(document.recipe)
    if not isinstance(recipe, MetaMultiTaskRecipe):
        raise ValueError(f"a model of sets with a recipe of kind {recipe.kind}")
    answers = document.answers
    source = SetModel(
        recipe,
        {name: value for name, value in params.items() if not name.startswith(SUPPORT)},
        document.state,
        answers.known,
        document.input.shape[0],
        document.scores,
        document.provenance,
    )
    if document.method is None:
        return source
    x, y, mask, roles = (params[f"{SUPPORT}{name}"] for name in ("x", "y", "mask", "roles"))
    return AdaptedSet(
        source,
        tuple(SetTask(one.name, one.joint, one.labels) for one in answers.tasks),
        answers.inputs,
        answers.layout,
        Batch(x, y, mask > 0.5),
        roles.to(torch.long),
        target=answers.target,
        task=answers.task,
        scores=document.scores,
        provenance=document.provenance,
    )


def require_set_weights(source: SetModel, folder: Path) -> None:
    """Raises BundleError for weights that are not those of the network, which is made without
    memory, or not finite."""
    with torch.device("meta"):
        wanted = source.weights()
    require_named_weights(wanted, source.params, folder)


def require_named_weights(wanted: Params, params: Params, folder: Path) -> None:
    """Raises BundleError for weights that lack one of those wanted, have it in another shape, or
    are not finite."""
    for name, value in wanted.items():
        have = params.get(name)
        if have is None or have.shape != value.shape:
            shape = "is missing" if have is None else f"has shape {list(have.shape)}"
            message = f"{name} {shape}, the network of {MODEL} has {list(value.shape)}"
            raise bad_weights(message, folder)
    for name, value in params.items():
        if value.is_floating_point() and not bool(value.isfinite().all()):
            raise bad_weights(f"{name} holds a value that is not finite", folder)


def bad_weights(message: str, folder: Path) -> BundleError:
    return BundleError(
        message,
        code="model.weights",
        where=str(folder / WEIGHTS),
        hint="use another copy, or make it again",
    )


def require_set_answers(model: AdaptedSet) -> None:
    """Raises ValueError where the support is not that of its tasks, or a row gets no answer for
    each."""
    tasks, width = len(model.tasks), model.source.width
    x, y, mask = model.support
    assert mask is not None
    rows = tuple(y.shape)
    if rows[:2] != (1, tasks) or tuple(x.shape) != (*rows, width) or mask.shape != y.shape:
        raise ValueError(f"a support {list(x.shape)} of {tasks} tasks and {width} inputs")
    if len(model.inputs) != width or tuple(model.roles.shape) != (1, tasks):
        raise ValueError(f"{len(model.inputs)} inputs, roles {list(model.roles.shape)}")
    if not bool(x.isfinite().all() and y.isfinite().all()):
        raise ValueError("a support that is not finite")
    answer = model.predict(torch.zeros((tasks, 1, width), dtype=x.dtype))
    if tuple(answer.mean.shape) != (tasks, 1) or not bool(answer.mean.isfinite().all()):
        raise ValueError(f"answers {list(answer.mean.shape)} of {tasks} tasks")


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
