"""Recipe and inputs to the network of a few-shot model, and its learner."""

from __future__ import annotations

from torch import nn

from metacli.algorithms import find
from metacli.algorithms.learner import Adapter, Learner
from metacli.engine.models.inputs import InputSpec
from metacli.engine.training.options import parsed
from metacli.errors import RecipeError
from metacli.nn.backbones.frozen import Frozen
from metacli.nn.backbones.last_block import LastBlock
from metacli.nn.backbones.table import Backbone, Normalised, make_backbone
from metacli.nn.layers.inputs import PixelInput, PixelOrFeatureInput
from metacli.nn.problem import Problem, Statistics, make_module
from metacli.schema.few_shot import FewShotRecipe


def statistics_of(backbone: Backbone) -> Statistics:
    """Where predictions take their normalisation statistics from."""
    found: dict[str, Statistics] = {"batch": "support", "task": "support", "running": "running"}
    return found.get(backbone.norm, "none") if isinstance(backbone, Normalised) else "none"


def make_problem(recipe: FewShotRecipe, learner: Adapter, inputs: InputSpec, way: int) -> Problem:
    """The stateless network of a resolved recipe.

    Args:
        way: classes of a fixed head; the largest way of a range.
    """
    backbone = make_backbone(recipe.backbone.name, recipe.backbone.options)
    module, features = backbone.build(inputs.shape)
    pixels = inputs.kind == "image"
    entrance = entrance_of(backbone, inputs) if pixels else nn.Identity()
    return Problem(
        module=make_module(entrance, module),
        features=features,
        kind="regression" if inputs.regresses else "classification",
        head=learner.head_size(way),
        statistics=statistics_of(backbone),
        chunk=recipe.train.chunk or 1,
        unit=inputs.unscaled.scale,
    )


def entrance_of(backbone: Backbone, inputs: InputSpec) -> nn.Module:
    """What pixels meet first."""
    kind = PixelOrFeatureInput if isinstance(backbone, Frozen | LastBlock) else PixelInput
    return kind(inputs.shape[0], invert=inputs.invert)


def restore_learner(recipe: FewShotRecipe, *, deployed: bool = True) -> Learner:
    """The learner of a recipe that was checked before (a model's own).

    Args:
        deployed: with the fields that `evaluate` replaces, as it is validated and shipped.

    Raises:
        RecipeError: there is no such learner.
    """
    entry = find(recipe.algorithm.name, "meta")
    if entry is None:
        raise unknown(recipe)
    fields = {**recipe.algorithm.options, **(recipe.evaluate.replace if deployed else {})}
    made: Learner = parsed(entry.load(), fields)
    return made


def restore_adapter(recipe: FewShotRecipe) -> Adapter:
    """As `restore_learner`, deployed; of columns of a table, which nothing was trained on, the
    transfer method."""
    entry = find(recipe.algorithm.name, "meta") or find(recipe.algorithm.name, "transfer")
    if entry is None:
        raise unknown(recipe)
    made: Adapter = parsed(entry.load(), {**recipe.algorithm.options, **recipe.evaluate.replace})
    return made


def unknown(recipe: FewShotRecipe) -> RecipeError:
    return RecipeError(f"unknown algorithm {recipe.algorithm.name!r}", code="recipe.unknown_name")
