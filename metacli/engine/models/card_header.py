"""What a model hub reads of a model card: the header of a README.md, in YAML; and the licence of
what a model learned from, in words."""

from __future__ import annotations

import yaml

from metacli.data.catalogue.registry import DATASETS
from metacli.engine.models.model import AdaptedModel, AnyModel, FewShotModel, MultiTaskModel

# By the names that a hub has for them; what is not here is `unknown`, never a guess.
HUB_LICENCES = {
    "MIT": "mit",
    "CC BY 3.0": "cc-by-3.0",
    "CC BY 4.0": "cc-by-4.0",
    "CC BY-SA 4.0": "cc-by-sa-4.0",
}
OWN_DATA = "metacli does not know the licence of the data: state the one under which you give this."


def header(model: AnyModel) -> list[str]:
    """The lines of the header, with its fences."""
    recipe = model.recipe
    learner = [] if recipe.kind == "multitask" else [recipe.algorithm.name]
    fields = {
        "library_name": "metacli",
        "license": HUB_LICENCES.get(data_licence(model) or "", "unknown"),
        "pipeline_tag": pipeline(model),
        "tags": ["metacli", topic(model), *learner],
    }
    known = {key: value for key, value in fields.items() if value is not None}
    return ["---", *yaml.safe_dump(known, sort_keys=False).splitlines(), "---", ""]


def topic(model: AnyModel) -> str:
    match model:
        case MultiTaskModel():
            return "multi-task-learning"
        case AdaptedModel() | FewShotModel():
            return "few-shot-learning"


def pipeline(model: AnyModel) -> str | None:
    """The hub's word for what goes in and what comes out; None where it has none."""
    classifies = model.kind == "classification"
    match model.inputs.kind:
        case "image":
            return "image-classification" if classifies else None
        case "text":
            return "text-classification" if classifies else None
        case "numbers":
            return "tabular-classification" if classifies else "tabular-regression"


def data_licence(model: AnyModel) -> str | None:
    """Of the data set that the model learned from; None for a user's own."""
    known = DATASETS.get(model.recipe.data.source)
    return None if known is None or isinstance(model, AdaptedModel) else known.licence


def licence_text(model: AnyModel) -> str:
    """In a sentence."""
    licence = data_licence(model)
    if licence is None:
        return OWN_DATA
    return f"The data that it learned from, {model.recipe.data.source}: {licence}."
