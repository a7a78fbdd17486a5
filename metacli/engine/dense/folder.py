"""A model of dense tasks as a folder: `model.json` with `kind: dense`, `weights.safetensors`, a
README and the checksums of all three."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path

from metacli import __version__
from metacli.data.catalogue.registry import find, make_options
from metacli.data.plain import Record
from metacli.data.scenes.generated import SceneOptions
from metacli.engine.dense.build import is_dense, problem_of
from metacli.engine.models.folder import FORMAT, MODEL, WEIGHTS
from metacli.engine.models.inputs import InputSpec
from metacli.engine.models.named import DENSE
from metacli.engine.models.probe import MISFITS, in_a_line
from metacli.engine.results.base import Json
from metacli.engine.sets.folder import require_named_weights
from metacli.engine.storage.disk import damaged
from metacli.engine.storage.serial import bytes_to_tensors, json_bytes, tensors_to_bytes
from metacli.engine.storage.writer import read_folder, write_folder
from metacli.errors import BundleError
from metacli.nn.dense.problem import DenseProblem
from metacli.nn.dense.targets import TASKS
from metacli.schema.multi_task import MultiTaskRecipe
from metacli.schema.recipe import parse_recipe
from metacli.types import Params


@dataclass(frozen=True)
class DenseModel:
    """A network that answers for every pixel.

    Args:
        recipe: fully resolved. sharing: that of the network, where it is not the recipe's.
    """

    recipe: MultiTaskRecipe
    params: Params
    sharing: str
    scores: Record = field(default_factory=dict)
    provenance: Record = field(default_factory=dict)

    def problem(self) -> DenseProblem:
        """The network without its weights."""
        return problem_of(self.recipe, self.sharing)

    @property
    def options(self) -> SceneOptions:
        """Of the images that it learned from. Raises DataError for what are none."""
        data = self.recipe.data
        found = make_options(find(data.source), data.options)
        assert isinstance(found, SceneOptions)  # no other data have dense tasks
        return found

    @property
    def inputs(self) -> InputSpec:
        """An image of the size that it learned from."""
        size = self.options.size
        return InputSpec("image", (3, size, size))


def save_dense(model: DenseModel, folder: Path) -> None:
    """Write the folder whole, in the place of one that is there. Raises as `write_folder`."""
    document: dict[str, Json] = {
        "format": FORMAT,
        "metacli": __version__,
        "kind": DENSE,
        "recipe": model.recipe.plain(),
        "sharing": model.sharing,
        "tasks": list(TASKS),
        "scores": model.scores,
        "provenance": model.provenance,
    }
    files = {
        MODEL: json_bytes(document),
        WEIGHTS: tensors_to_bytes(model.params),
        "README.md": card(model).encode(),
    }
    write_folder(folder, files, replace=True)


def load_dense(folder: Path) -> DenseModel:
    """Read a model of dense tasks, checksums first.

    Raises:
        BundleError: damaged, or not a model of dense tasks.
    """
    files = read_folder(folder)
    if MODEL not in files or WEIGHTS not in files:
        raise BundleError("not a model folder", code="model.not_found", where=str(folder))
    try:
        document = json.loads(files[MODEL])
        recipe = parse_recipe(document["recipe"])
        if document["kind"] != DENSE or not isinstance(recipe, MultiTaskRecipe):
            raise ValueError("no model of dense tasks")
        params = bytes_to_tensors(files[WEIGHTS], str(folder / WEIGHTS))
        sharing = str(document["sharing"])
        made = DenseModel(recipe, params, sharing, document["scores"], document["provenance"])
        if not is_dense(recipe):
            raise ValueError(f"a model of dense tasks of {recipe.data.source}")
        require_named_weights(made.problem().init(0), params, folder)
    except MISFITS as error:
        raise damaged(folder / MODEL, f"is not what metacli writes: {in_a_line(error)}") from None
    return made


def card(model: DenseModel) -> str:
    """The README of the folder."""
    recipe = model.recipe
    lines = [
        "# A model of dense tasks",
        "",
        f"{', '.join(TASKS)} of the images of `{recipe.data.source}`; sharing `{model.sharing}`, "
        f"weighting `{recipe.weighting.name}`.",
        "",
        "```",
        "metacli predict THIS_FOLDER IMAGE -o MAPS",
        "metacli evaluate THIS_FOLDER",
        "metacli export THIS_FOLDER",
        "```",
        "",
    ]
    return "\n".join(lines)
