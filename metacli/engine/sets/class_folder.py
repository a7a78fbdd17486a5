"""A model of sets of classifications as a folder: like every model of sets, and
`answers.classes`."""

from __future__ import annotations

import json
from pathlib import Path

import torch

from metacli import __version__
from metacli.engine.models.folder import FORMAT, MODEL, WEIGHTS
from metacli.engine.models.inputs import InputSpec
from metacli.engine.models.probe import MISFITS, in_a_line
from metacli.engine.results.base import Json
from metacli.engine.sets.class_model import ClassFacts, ClassSetModel
from metacli.engine.sets.document import ClassSetDocument
from metacli.engine.sets.folder import KIND, require_named_weights
from metacli.engine.storage.disk import damaged
from metacli.engine.storage.serial import bytes_to_tensors, json_bytes, tensors_to_bytes
from metacli.engine.storage.writer import read_folder, write_folder
from metacli.errors import BundleError
from metacli.schema.meta_multi_task import MetaMultiTaskRecipe
from metacli.schema.recipe import parse_recipe
from metacli.types import Params


def is_class_model(path: Path) -> bool:
    """Whether a folder holds a model of sets of classifications; False for anything unreadable."""
    try:
        document = json.loads((path / MODEL).read_bytes())
    except (OSError, ValueError):
        return False
    if not isinstance(document, dict) or document.get("kind") != KIND:
        return False
    answers = document.get("answers")
    return isinstance(answers, dict) and "classes" in answers


def save_classes(model: ClassSetModel, folder: Path, *, replace: bool = False) -> None:
    """Write the folder whole. Raises as `write_folder`."""
    files = {
        MODEL: json_bytes(document_of(model)),
        WEIGHTS: tensors_to_bytes(model.params),
        "README.md": card(model).encode(),
    }
    write_folder(folder, files, replace=replace)


def document_of(model: ClassSetModel) -> dict[str, Json]:
    """What `model.json` says."""
    return {
        "format": FORMAT,
        "metacli": __version__,
        "kind": KIND,
        "input": model.facts.inputs.as_dict(),
        "recipe": model.recipe.plain(),
        "scores": dict(model.scores),
        "provenance": dict(model.provenance),
        "classes": None,
        "method": None,
        "options": {},
        "state": model.state,
        "way": model.facts.way,
        "answers": {"known": [], "classes": model.facts.as_dict()},
    }


def load_classes(folder: Path) -> ClassSetModel:
    """Read a model, checksums first.

    Raises:
        BundleError: damaged, or not a model of sets of classifications.
    """
    files = read_folder(folder)
    if MODEL not in files or WEIGHTS not in files:
        raise BundleError("not a model folder", code="model.not_found", where=str(folder))
    try:
        document = ClassSetDocument.model_validate_json(files[MODEL])
        params = bytes_to_tensors(files[WEIGHTS], str(folder / WEIGHTS))
        found = from_document(document, params)
        with torch.device("meta"):  # what a file claims is not allocated
            wanted = found.weights()
    except MISFITS as error:
        raise damaged(folder / MODEL, f"is not what metacli writes: {in_a_line(error)}") from None
    require_named_weights(wanted, params, folder)
    return found


def from_document(document: ClassSetDocument, params: Params) -> ClassSetModel:
    """The model that `model.json` describes."""
    recipe = parse_recipe(document.recipe)
    if not isinstance(recipe, MetaMultiTaskRecipe):
        raise ValueError(f"a model of sets with a recipe of kind {recipe.kind}")
    said = document.answers.classes
    facts = ClassFacts(InputSpec.of(document.input), said.way, said.shared_labels, mixed=said.mixed)
    scores, provenance = document.scores, document.provenance
    return ClassSetModel(recipe, params, document.state, facts, scores, provenance)


def card(model: ClassSetModel) -> str:
    """The README of the folder."""
    recipe = model.recipe
    lines = [
        "# A model of sets of classification tasks",
        "",
        f"`{recipe.algorithm.name}`, meta-trained on sets of tasks of `{recipe.data.source}`: it "
        "learns the tasks of a new set together, from a few examples of each class.",
        "",
        "```",
        "metacli evaluate THIS_FOLDER",
        "```",
    ]
    return "\n".join([*lines, ""])
