"""A model folder: `model.json`, `weights.safetensors`, a model card, and the checksums of all
three. No pickle. Loading one needs nothing but the folder.

`model.json` has the same keys for every class of model; those that say nothing of it are None or
empty.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import torch
from pydantic import ValidationError

from metacli import __version__
from metacli.data.plain import Record
from metacli.engine.models.card import model_card
from metacli.engine.models.document import ModelDocument, validated
from metacli.engine.models.inputs import InputSpec
from metacli.engine.models.model import AdaptedModel, AnyModel, FewShotModel, MultiTaskModel
from metacli.engine.models.parts import Columns, Confidence, TaskHeads
from metacli.engine.models.probe import MISFITS, in_a_line, require_answers
from metacli.engine.models.sentence_encoder import know_brought, standing_alone
from metacli.engine.models.shared_encoder import (
    SharedEncoder,
    bring_along,
    completed,
    files_of_encoders,
    shared_encoder,
)
from metacli.engine.results.base import Json
from metacli.engine.storage.disk import damaged
from metacli.engine.storage.serial import bytes_to_tensors, json_bytes, tensors_to_bytes
from metacli.engine.storage.writer import read_folder, write_folder
from metacli.errors import BundleError
from metacli.schema.few_shot import FewShotRecipe
from metacli.schema.multi_task import MultiTaskRecipe
from metacli.schema.recipe import parse_recipe
from metacli.types import Params

FORMAT = 1
WITHOUT_ENCODER = 2  # the format of a folder that names its encoder
WEIGHTS = "weights.safetensors"
MODEL = "model.json"


def save(model: AnyModel, folder: Path, *, replace: bool = False, standalone: bool = False) -> None:
    """Write the folder whole. Raises as `write_folder`.

    Args:
        standalone: with the encoder inside, which is otherwise named and kept once on this machine.
    """
    shared = None if standalone else shared_encoder(model)
    parts = Parts(document_of(model), model.params, model.inputs, model_card(model), shared)
    write_folder(folder, files_of(parts, standalone=standalone), replace=replace)


class Parts(NamedTuple):
    """What a model folder is made of.

    Args:
        params: all of them. shared: the encoder that the folder names and leaves out.
    """

    document: dict[str, Json]
    params: Params
    inputs: InputSpec
    card: str
    shared: SharedEncoder | None


def files_of(parts: Parts, *, standalone: bool) -> dict[str, bytes]:
    """The files by their names; of a model that stands alone with those that read its texts."""
    inputs, sentences = standing_alone(parts.inputs) if standalone else (parts.inputs, {})
    document, params = {**parts.document, "input": inputs.as_dict()}, parts.params
    if parts.shared is not None:
        document |= {"format": WITHOUT_ENCODER, "encoder": parts.shared.as_dict()}
        left_out = parts.shared.names(params)
        params = {name: value for name, value in params.items() if name not in left_out}
    brought = files_of_encoders(parts.inputs) if standalone else {}
    return {
        **brought,
        **sentences,
        MODEL: json_bytes(document),
        WEIGHTS: tensors_to_bytes(params),
        "README.md": parts.card.encode(),
    }


def document_of(model: AnyModel) -> dict[str, Json]:
    """What `model.json` says."""
    common: dict[str, Json] = {
        "format": FORMAT,
        "metacli": __version__,
        "kind": model.kind,
        "input": model.inputs.as_dict(),
        "recipe": model.recipe.plain(),
        "scores": dict(model.scores),
        "provenance": dict(model.provenance),
        "classes": None,
        "method": None,
        "options": {},
        "state": {},
        "answers": {},
    }
    own: dict[str, Json]
    match model:
        case MultiTaskModel():
            own = {"way": len(model.heads.tasks), "answers": model.heads.as_dict()}
        case FewShotModel():
            own = {"way": model.way, "state": model.state}
        case AdaptedModel():
            own = {
                "way": model.way,
                "state": model.state,
                "classes": None if model.classes is None else list(model.classes),
                "method": model.method,
                "options": dict(model.options),
                "answers": {
                    **model.confidence.as_dict(),
                    "support": list(model.support),
                    **model.columns.as_dict(),
                },
            }
    return {**common, **own}


def load(folder: Path) -> AnyModel:
    """Read a model folder, checksums first.

    Raises:
        BundleError: damaged, not a model, or of a newer metacli.
    """
    return from_files(read_folder(folder), folder)


def load_multi_task(folder: Path) -> MultiTaskModel:
    """As `load`; raises BundleError for another class of model."""
    found = load(folder)
    if not isinstance(found, MultiTaskModel):
        raise BundleError("not a multi-task model", code="model.kind", where=str(folder))
    return found


def load_few_shot(folder: Path) -> FewShotModel:
    """As `load`; raises BundleError for another class of model."""
    found = load(folder)
    if not isinstance(found, FewShotModel):
        raise BundleError("not a model that adapts", code="model.kind", where=str(folder))
    return found


def from_files(files: Mapping[str, bytes], folder: Path) -> AnyModel:
    """The model in the verified files of a folder."""
    if MODEL not in files or WEIGHTS not in files:
        raise BundleError("not a model folder", code="model.not_found", where=str(folder))
    try:
        document = json.loads(files[MODEL])
        number, maker = document["format"], document["metacli"]
    except (ValueError, KeyError, TypeError):
        raise damaged(folder / MODEL, "is not what metacli writes") from None
    if number not in (FORMAT, WITHOUT_ENCODER):
        raise BundleError(
            f"model format {number} of metacli {maker}; "
            f"this is metacli {__version__}, which reads formats up to {WITHOUT_ENCODER}",
            code="model.newer",
            where=str(folder),
            hint="install a newer metacli",
        )
    if document.get("kind") == "dense":
        raise BundleError(
            "a model of dense tasks, which evaluate, predict, report and export take",
            code="model.dense",
            where=str(folder),
            hint=f"metacli evaluate {folder}",
        )
    if document.get("kind") == "sets":
        raise BundleError(
            "a model of sets of tasks, which adapt, predict and evaluate take",
            code="model.sets",
            where=str(folder),
            hint=f"metacli adapt {folder} SET.csv",
        )
    try:
        found = validated(files[MODEL])
        made = from_document(found, params_of(files, found, folder))
        if not isinstance(made, MultiTaskModel):
            made.learner()
        require_weights(made, folder)
        know_brought(made.inputs, files, folder)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(map(str, first["loc"]))
        raise BundleError(
            f"{MODEL} is not valid{f' at {key}' if key else ''}: {first['msg']}",
            code="model.damaged",
            where=str(folder),
        ) from None
    except MISFITS as error:
        raise damaged(folder / MODEL, f"is not what metacli writes: {in_a_line(error)}") from None
    require_answers(made, folder / MODEL)
    return made


def params_of(files: Mapping[str, bytes], document: ModelDocument, folder: Path) -> Params:
    """The parameters, with those of an encoder that the folder names. Raises as `completed`."""
    bring_along(files, folder)
    params = bytes_to_tensors(files[WEIGHTS], str(folder / WEIGHTS))
    encoder = document.encoder
    return params if encoder is None else completed(params, SharedEncoder.of(encoder), str(folder))


def from_document(document: ModelDocument, params: Params) -> AnyModel:
    """The model that `model.json` describes: its keys decide the class, here alone."""
    recipe, inputs = parse_recipe(document.recipe), InputSpec.of(document.input)
    scores, provenance = document.scores, document.provenance
    if document.kind == "tasks":
        if not isinstance(recipe, MultiTaskRecipe):
            raise ValueError(f"a model of tasks with a recipe of kind {recipe.kind}")
        heads = TaskHeads.of(document.answers)
        return MultiTaskModel(recipe, params, inputs, heads, scores, provenance)
    if document.method is None:
        if not isinstance(recipe, FewShotRecipe):
            raise ValueError(f"a model that adapts with a recipe of kind {recipe.kind}")
        return FewShotModel(
            recipe, params, document.state, inputs, document.kind, document.way, scores, provenance
        )
    return AdaptedModel(
        recipe,
        params,
        document.state,
        inputs,
        document.kind,
        document.way,
        method=document.method,
        options=document.options or older_options(document),
        classes=document.classes,
        confidence=Confidence.of(document.answers),
        columns=Columns.of(document.answers),
        support=document.answers.support or (),
        scores=scores,
        provenance=provenance,
    )


def older_options(document: ModelDocument) -> Record:
    """Prototypes once kept their fields among the recipe's."""
    changed = document.recipe.get("evaluate")
    if document.method != "prototype" or not isinstance(changed, dict):
        return {}
    return {name: changed[name] for name in ("distance", "scale") if name in changed}


def require_weights(made: AnyModel, folder: Path) -> None:
    """Raises BundleError for weights that are not those of the network in `model.json`, or no
    finite numbers. The network is made without memory: what a file claims is not allocated."""
    for name, value in made.params.items():
        if value.is_floating_point() and not bool(value.isfinite().all()):
            raise BundleError(
                f"{name} holds a value that is not finite",
                code="model.weights",
                where=str(folder / WEIGHTS),
                hint="use another copy, or make it again",
            )
    with torch.device("meta"):
        network = replace(made).weights()  # of a copy, as a network is kept by its model
    for name, wanted in network.items():
        found = made.params.get(name)
        if found is None or found.shape != wanted.shape:
            shape = "is missing" if found is None else f"has shape {list(found.shape)}"
            raise BundleError(
                f"{name} {shape}, the network of {MODEL} has {list(wanted.shape)}",
                code="model.weights",
                where=str(folder / WEIGHTS),
                hint="use another copy, or make it again",
            )
