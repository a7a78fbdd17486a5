"""The parameters of a pretrained encoder among those of the network that stands on it."""

from __future__ import annotations

from metacli.engine.encoders.pretrained import NETWORKS, pretrained
from metacli.engine.events import Reporter, ignore
from metacli.engine.storage.paths import cache_root
from metacli.nn.backbones.frozen import ENCODER
from metacli.schema.blocks import Named
from metacli.schema.few_shot import FewShotRecipe
from metacli.schema.meta_multi_task import MetaMultiTaskRecipe
from metacli.schema.recipe import Recipe
from metacli.trees import without
from metacli.types import Params

BACKBONE = "backbone."
FROZEN = BACKBONE + ENCODER  # how the names of a frozen encoder's parameters begin
ON_FEATURES = ("frozen",)  # backbones that train on features which are computed before


def encoder_of(recipe: Recipe) -> tuple[str, str] | None:
    """The encoder of a recipe's network, and what is before the names of its parameters; None where
    there is none."""
    backbone = backbone_of(recipe)
    if backbone is None:
        return None
    if backbone.name in NETWORKS:
        return backbone.name, BACKBONE
    name = backbone.options.get("encoder")
    return (name, FROZEN) if isinstance(name, str) and name in NETWORKS else None


def backbone_of(recipe: Recipe) -> Named | None:
    """The backbone of a recipe whose network may stand on a pretrained encoder."""
    return recipe.backbone if isinstance(recipe, FewShotRecipe | MetaMultiTaskRecipe) else None


def to_train(recipe: FewShotRecipe, params: Params) -> Params:
    """Fresh parameters as training needs them: with those of a pretrained encoder, or without where
    its features are computed before. Raises as `pretrained`."""
    if encoder_of(recipe) is None:
        return params
    if recipe.backbone.name in ON_FEATURES:
        return without(params, FROZEN)
    return with_encoder(recipe, params)


def with_encoder(recipe: Recipe, params: Params, report: Reporter = ignore) -> Params:
    """Parameters with those of the network's frozen encoder, in the order of their names. Raises as
    `pretrained`."""
    found = encoder_of(recipe)
    if found is None or found[1] != FROZEN:
        return params
    name, prefix = found
    own = {prefix + key: value for key, value in pretrained(name, cache_root(), report).items()}
    if params:
        like = next(iter(params.values()))
        own = {key: value.to(like.device) for key, value in own.items()}
    whole = {**params, **own}
    return {key: whole[key] for key in sorted(whole)}
