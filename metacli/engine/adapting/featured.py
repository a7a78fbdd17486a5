"""The same task as a frozen network sees it: examples become features once, and whatever adapts a
head to them, in however many folds, works on those."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor, nn

from metacli.algorithms.transfer.transfer import Transfer, network_of
from metacli.engine.adapting.reading import Examples
from metacli.engine.adapting.source import Source
from metacli.engine.encoders.feature_cache import FeatureCache
from metacli.engine.encoders.pool_features import bare_width, frozen_of
from metacli.engine.encoders.pretrained import digest_of
from metacli.engine.events import Progress, Reporter
from metacli.engine.storage.paths import cache_root
from metacli.nn.backbones.last_block import width_before
from metacli.nn.layers.inputs import channels_last
from metacli.nn.problem import Problem, make_module
from metacli.schema.few_shot import FewShotRecipe
from metacli.types import Batch, Params

LAST_BLOCK = "last-block"  # the backbone that trains an encoder's last block
WORTH_KEEPING = 3 * 64 * 64  # numbers of an image; features of smaller ones are soon computed
ON_CPU, ON_DEVICE = 8, 64  # rows at a time: a few images stay in a processor's cache


@dataclass(frozen=True)
class Seen:
    """What is adapted to what: the source and the examples, or the source without its network and
    the examples as its features."""

    source: Source
    examples: Examples


def featured(source: Source, examples: Examples, report: Reporter) -> Seen:
    """Features where the network, or the encoder that it stands on, stays as it is; the examples
    themselves otherwise."""
    if source.inputs.kind != "image":
        return Seen(source, examples)
    problem = source.problem()
    width = width_of_encoder(source)
    if width is not None:
        encoder = encoder_alone(problem, width)
        params = network_of(encoder, source.params)
        return Seen(source, with_rows(examples, encoder, params, report))
    if not is_frozen(source):
        return Seen(source, examples)
    seen = with_rows(examples, problem, network_of(problem, source.params), report)
    return Seen(replace(source, params={}, features=problem.features), seen)


def width_of_encoder(source: Source) -> int | None:
    """Numbers that the encoder makes of an image, which stays as it is under what is trained; None
    where there is no such encoder."""
    if source.inputs.kind != "image" or not isinstance(source.recipe, FewShotRecipe):
        return None
    if source.recipe.backbone.name == LAST_BLOCK:
        return width_before(source.inputs.shape)
    frozen = frozen_of(source.recipe)
    return None if frozen is None else bare_width(frozen)


def encoder_alone(problem: Problem, width: int) -> Problem:
    """The part of a network before what is trained on it."""
    inner = nn.Sequential(OrderedDict(encoder=problem.module.get_submodule("backbone.encoder")))
    module = make_module(problem.module.get_submodule("input"), inner)
    return Problem(module, features=width, kind=problem.kind, head=None)


def with_rows(examples: Examples, problem: Problem, params: Params, report: Reporter) -> Examples:
    """The examples as features of this network."""
    support, query = examples.support, examples.query
    both = support.x if query is None else torch.cat([support.x, query.x])
    rows, count = features_of(problem, params, both, report), len(support.x)
    return replace(
        examples,
        support=Batch(rows[:count], support.y),
        query=None if query is None else Batch(rows[count:], query.y),
    )


def is_frozen(source: Source) -> bool:
    """Whether nothing of its network depends on the examples, so that features are enough."""
    if source.inputs.kind != "image" or not isinstance(source.learner, Transfer):
        return False
    return source.learner.frozen and source.problem().statistics != "support"


@torch.no_grad()
def features_of(problem: Problem, params: Params, x: Tensor, report: Reporter) -> Tensor:
    """Features [M, D] of images [M, C, H, W], from the cache where they are known."""

    def compute(part: np.ndarray) -> np.ndarray:
        rows = channels_last(torch.from_numpy(part).to(x.device))
        return problem.embed(params, rows).float().cpu().numpy()

    costs = any(name.startswith("backbone.") for name in params) and x[0].numel() >= WORTH_KEEPING
    network = f"{digest_of(params)} {problem.module}"
    found = FeatureCache(cache_root() if costs else None, network).features(
        x.cpu().numpy(),
        problem.features,
        compute,
        ON_CPU if x.device.type == "cpu" else ON_DEVICE,
        lambda done, total: report(Progress("computing features", done, total, "images")),
    )
    return torch.from_numpy(found).to(x.device)
