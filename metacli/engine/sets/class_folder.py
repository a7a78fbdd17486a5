"""A model of sets of classifications as a folder: like every model of sets, and
`answers.classes`."""

from __future__ import annotations

from pathlib import Path

import torch

from metacli import __version__
from metacli.engine.models.folder import FORMAT, MODEL, WEIGHTS, Parts, files_of
from metacli.engine.models.inputs import InputSpec
from metacli.engine.models.named import SETS
from metacli.engine.models.probe import MISFITS, in_a_line
from metacli.engine.models.sentence_encoder import know_brought
from metacli.engine.models.shared_encoder import (
    SharedEncoder,
    bring_along,
    completed,
    installed_encoder,
)
from metacli.engine.results.base import Json
from metacli.engine.sets.class_adapted import AdaptedClassSet, AdaptedTask
from metacli.engine.sets.class_model import ClassFacts, ClassSetModel
from metacli.engine.sets.document import ClassSetDocument
from metacli.engine.sets.folder import SUPPORT, require_named_weights, support_params
from metacli.engine.storage.disk import damaged
from metacli.engine.storage.serial import bytes_to_tensors
from metacli.engine.storage.writer import read_folder, write_folder
from metacli.errors import BundleError
from metacli.schema.meta_multi_task import MetaMultiTaskRecipe
from metacli.schema.recipe import parse_recipe
from metacli.types import Batch, Params


def save_classes(
    model: ClassSetModel | AdaptedClassSet,
    folder: Path,
    *,
    replace: bool = False,
    standalone: bool = False,
) -> None:
    """Write the folder whole. Raises as `write_folder`.

    Args:
        standalone: with the encoder inside, which is otherwise named and kept once on this machine.
    """
    source = model if isinstance(model, ClassSetModel) else model.source
    shared = None if standalone else installed_encoder(source.recipe, source.params)
    params = dict(source.params)
    if isinstance(model, AdaptedClassSet):
        params |= support_params(model.support)
    words = card(model, source)
    parts = Parts(document_of(model, source), params, source.facts.inputs, words, shared)
    write_folder(folder, files_of(parts, standalone=standalone), replace=replace)


def document_of(model: ClassSetModel | AdaptedClassSet, source: ClassSetModel) -> dict[str, Json]:
    """What `model.json` says."""
    answers: dict[str, Json] = {"known": [], "classes": source.facts.as_dict()}
    adapted = isinstance(model, AdaptedClassSet)
    if isinstance(model, AdaptedClassSet):
        answers |= {
            "tasks": [one.as_dict() for one in model.tasks],
            "layout": model.layout,
            "task": model.task,
        }
    return {
        "format": FORMAT,
        "metacli": __version__,
        "kind": SETS,
        "input": source.facts.inputs.as_dict(),
        "recipe": source.recipe.plain(),
        "scores": dict(model.scores),
        "provenance": dict(model.provenance),
        "classes": None,
        "method": "native" if adapted else None,
        "options": {},
        "state": source.state,
        "way": source.facts.way,
        "answers": answers,
    }


def load_classes(folder: Path) -> ClassSetModel:
    """A model that adapts to sets. Raises BundleError: adapted already, or damaged."""
    found = load_any(folder)
    if isinstance(found, AdaptedClassSet):
        raise already_adapted(folder)
    return found


def load_adapted_classes(folder: Path) -> AdaptedClassSet:
    """A model of one set. Raises BundleError: not adapted yet, or damaged."""
    found = load_any(folder)
    if isinstance(found, ClassSetModel):
        raise not_adapted(folder, "SET")
    return found


def already_adapted(folder: Path) -> BundleError:
    """Where a model that adapts is wanted."""
    return BundleError(
        "this model is adapted to a set already",
        code="model.adapted",
        where=str(folder),
        hint=f"metacli predict {folder} ROWS.csv",
    )


def not_adapted(folder: Path, data: str) -> BundleError:
    """Where a model of one set is wanted.

    Args:
        data: what it could be adapted to, as the hint calls it.
    """
    return BundleError(
        "this model has not been adapted to a set yet",
        code="model.not_adapted",
        where=str(folder),
        hint=f"metacli adapt {folder} {data} -o mine",
    )


def load_any(folder: Path) -> ClassSetModel | AdaptedClassSet:
    """Read a model, checksums first.

    Raises:
        BundleError: damaged, or not a model of sets of classifications.
    """
    files = read_folder(folder)
    if MODEL not in files or WEIGHTS not in files:
        raise BundleError("not a model folder", code="model.not_found", where=str(folder))
    try:
        document = ClassSetDocument.model_validate_json(files[MODEL])
        bring_along(files, folder)
        params = bytes_to_tensors(files[WEIGHTS], str(folder / WEIGHTS))
        if document.encoder is not None:
            params = completed(params, SharedEncoder.of(document.encoder), str(folder))
        found = from_document(document, params)
        source = found if isinstance(found, ClassSetModel) else found.source
        with torch.device("meta"):  # what a file claims is not allocated
            wanted = source.weights()
        if isinstance(found, AdaptedClassSet):
            require_support(found)
    except MISFITS as error:
        raise damaged(folder / MODEL, f"is not what metacli writes: {in_a_line(error)}") from None
    require_named_weights(wanted, source.params, folder)
    know_brought(source.facts.inputs, files, folder)
    return found


def from_document(document: ClassSetDocument, params: Params) -> ClassSetModel | AdaptedClassSet:
    """The model that `model.json` describes."""
    recipe = parse_recipe(document.recipe)
    if not isinstance(recipe, MetaMultiTaskRecipe):
        raise ValueError(f"a model of sets with a recipe of kind {recipe.kind}")
    answers, said = document.answers, document.answers.classes
    inputs = InputSpec.of(document.input)
    facts = ClassFacts(
        *(inputs, said.way, said.shared_labels, said.kind, said.levels, said.positive)
    )
    weights = {name: value for name, value in params.items() if not name.startswith(SUPPORT)}
    given = (document.scores, document.provenance)
    source = ClassSetModel(recipe, weights, document.state, facts, *given)
    if document.method is None:
        return source
    x, y, mask = (params[f"{SUPPORT}{name}"] for name in ("x", "y", "mask"))
    tasks = tuple(
        AdaptedTask(one.name, one.labels, one.target, one.known, one.joint) for one in answers.tasks
    )
    support = Batch(x, y, mask > 0.5)
    return AdaptedClassSet(source, tasks, answers.layout, answers.task, support, *given)


def require_support(model: AdaptedClassSet) -> None:
    """Raises ValueError where the support is not that of the model's tasks."""
    x, y, mask = model.support
    assert mask is not None
    rows, shape = tuple(y.shape), model.source.example
    if rows[:2] != (1, len(model.tasks)) or tuple(x.shape) != (*rows, *shape):
        raise ValueError(f"a support {list(x.shape)} of {len(model.tasks)} tasks")
    if mask.shape != y.shape:
        raise ValueError(f"a support of {list(y.shape)} labels, {list(mask.shape)} of them known")


def card(model: ClassSetModel | AdaptedClassSet, source: ClassSetModel) -> str:
    """The README of the folder."""
    recipe = source.recipe
    if isinstance(model, AdaptedClassSet):
        tasks = ", ".join(f"{one.name} ({one.known} labels)" for one in model.tasks)
        lines = ["# A set of tasks, learned together", ""]
        lines += [f"`{recipe.algorithm.name}` adapted to {tasks}.", ""]
        return "\n".join([*lines, "```", "metacli predict THIS_FOLDER ROWS.csv", "```", ""])
    lines = [
        "# A model of sets of classification tasks",
        "",
        f"`{recipe.algorithm.name}`, meta-trained on sets of tasks of `{recipe.data.source}`: it "
        "learns the tasks of a new set together, from a few examples of each class.",
        "",
        "```",
        "metacli adapt THIS_FOLDER SET",
        "metacli evaluate THIS_FOLDER",
        "```",
    ]
    return "\n".join([*lines, ""])
