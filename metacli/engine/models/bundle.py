"""A model folder: `model.json`, `weights.safetensors`, a model card, and the checksums of all
three. No pickle.

`params` of an adapted model hold everything its predictions need (prototypes, a head of its own
classes, frozen statistics), so that loading one needs nothing but the folder.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from metacli import __version__
from metacli.algorithms import names
from metacli.engine.adapting.transfer import make_method
from metacli.engine.models.card import model_card
from metacli.engine.models.inputs import InputSpec
from metacli.engine.storage.disk import damaged
from metacli.engine.storage.serial import bytes_to_tensors, json_bytes, tensors_to_bytes
from metacli.engine.storage.writer import read_folder, write_folder
from metacli.engine.training.build import make_problem, restore_learner
from metacli.errors import BundleError
from metacli.schema.few_shot import FewShotRecipe
from metacli.schema.multi_task import MultiTaskRecipe
from metacli.schema.recipe import Recipe, parse_recipe
from metacli.types import Params, State

FORMAT = 1
WEIGHTS = "weights.safetensors"
MODEL = "model.json"


@dataclass(frozen=True)
class Bundle:
    """A model, adapted (with class names) or not.

    Args:
        recipe: fully resolved.
        way: rows of a fixed head; the largest way of a range.
        classes: label names of an adapted model, in the order of its outputs; None before
        adaptation. method: how it was adapted; None before.
        scores: what was measured, by name.
        provenance: versions, seed, data digests, where it came from.
        answers: what `predict` needs besides the weights, such as the rejection threshold.
        options: fields of a way of transfer; {} for a source's own adaptation.
    """

    recipe: Recipe
    params: Params
    state: State
    inputs: InputSpec
    kind: str
    way: int
    classes: tuple[str, ...] | None = None
    method: str | None = None
    scores: Mapping[str, Any] = field(default_factory=dict)
    provenance: Mapping[str, Any] = field(default_factory=dict)
    answers: Mapping[str, Any] = field(default_factory=dict)
    options: Mapping[str, Any] = field(default_factory=dict)

    @property
    def adapted(self) -> bool:
        return self.method is not None

    @property
    def temperature(self) -> float:
        """What logits are divided by before they become probabilities."""
        return float(self.answers.get("calibration", {}).get("temperature", 1.0))

    @property
    def few_shot_recipe(self) -> FewShotRecipe:
        """The recipe, which the caller knows to be of kind meta. Raises BundleError otherwise."""
        if isinstance(self.recipe, FewShotRecipe):
            return self.recipe
        raise BundleError(
            "a multi-task model answers for the tasks that it was trained on only",
            code="model.multitask",
            hint="metacli evaluate MODEL",
        )

    @property
    def multi_task_recipe(self) -> MultiTaskRecipe:
        """The recipe, which the caller knows to be of kind multitask. Raises BundleError
        otherwise."""
        if isinstance(self.recipe, MultiTaskRecipe):
            return self.recipe
        raise BundleError("not a multi-task model", code="model.not_multitask")

    def learner(self) -> Any:
        """The learner as it is deployed: `evaluate`'s fields in place; or the way of transfer that
        `method` names.

        Raises:
            BundleError: a model of many tasks, which has none.
        """
        if self.method in names("transfer"):
            return make_method(self.method, self.options)
        return restore_learner(self.few_shot_recipe)

    def problem(self) -> Any:
        """The network: a `Problem`, or the `TaskProblem` of many tasks."""
        if self.recipe.kind == "multitask" and self.adapted:
            from metacli.engine.models.multi_task_source import source_problem

            return source_problem(self)
        if self.recipe.kind == "multitask":
            from metacli.engine.training.multi_task_build import make_task_problem

            return make_task_problem(self.recipe, self.inputs, self.answers)
        way = len(self.classes) if self.classes is not None else self.way
        return make_problem(self.few_shot_recipe, self.learner(), self.inputs, way)


def save(bundle: Bundle, folder: Path, *, replace: bool = False) -> None:
    """Write the folder whole. Raises as `write_folder`."""
    document = {
        "format": FORMAT,
        "metacli": __version__,
        "kind": bundle.kind,
        "way": bundle.way,
        "classes": None if bundle.classes is None else list(bundle.classes),
        "method": bundle.method,
        "options": dict(bundle.options),
        "input": bundle.inputs.as_dict(),
        "recipe": bundle.recipe.plain(),
        "state": bundle.state,
        "scores": dict(bundle.scores),
        "answers": dict(bundle.answers),
        "provenance": dict(bundle.provenance),
    }
    files = {
        MODEL: json_bytes(document),
        WEIGHTS: tensors_to_bytes(bundle.params),
        "README.md": model_card(document).encode(),
    }
    write_folder(folder, files, replace=replace)


def load(folder: Path) -> Bundle:
    """Read a model folder, checksums first.

    Raises:
        BundleError: damaged, not a model, or of a newer metacli.
    """
    return from_files(read_folder(folder), folder)


def from_files(files: Mapping[str, bytes], folder: Path) -> Bundle:
    """The bundle in the verified files of a folder."""
    if MODEL not in files or WEIGHTS not in files:
        raise BundleError("not a model folder", code="model.not_found", where=str(folder))
    try:
        document = json.loads(files[MODEL])
        number, maker = document["format"], document["metacli"]
    except (ValueError, KeyError, TypeError):
        raise damaged(folder / MODEL, "is not what metacli writes") from None
    if number != FORMAT:
        raise BundleError(
            f"model format {number} of metacli {maker}; "
            f"this is metacli {__version__}, which reads format {FORMAT}",
            code="model.newer",
            where=str(folder),
            hint="pip install --upgrade metacli",
        )
    try:
        made = from_document(document, bytes_to_tensors(files[WEIGHTS], str(folder / WEIGHTS)))
        if made.recipe.kind == "meta":
            made.learner()
    except ValidationError as error:
        raise BundleError(
            f"the model's recipe is not valid: {error.errors()[0]['msg']}",
            code="model.damaged",
            where=str(folder),
        ) from None
    except (KeyError, TypeError, ValueError) as error:
        raise damaged(folder / MODEL, f"is not what metacli writes: {error!r}") from None
    require_weights(made, folder)
    return made


def from_document(document: Mapping[str, Any], params: Params) -> Bundle:
    """The bundle that `model.json` describes."""
    classes = document["classes"]
    return Bundle(
        recipe=parse_recipe(document["recipe"]),
        params=params,
        state=document["state"],
        inputs=InputSpec.from_dict(document["input"]),
        kind=document["kind"],
        way=document["way"],
        classes=None if classes is None else tuple(classes),
        method=document["method"],
        scores=document["scores"],
        provenance=document["provenance"],
        answers=document["answers"],
        options=document.get("options") or older_options(document),
    )


def older_options(document: Mapping[str, Any]) -> dict[str, Any]:
    """Prototypes once kept their fields among the recipe's."""
    changed = document["recipe"].get("evaluate", {})
    fields = ("distance", "scale") if document["method"] == "prototype" else ()
    return {name: changed[name] for name in fields if name in changed}


def require_weights(made: Bundle, folder: Path) -> None:
    """Raises BundleError for weights that are not those of the network in `model.json`."""
    problem = made.problem()
    network = problem.init(0) if made.kind == "tasks" else problem.module.state_dict()
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
