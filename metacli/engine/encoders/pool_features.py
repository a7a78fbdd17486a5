"""Features of the images of a pool under a pretrained network, each computed once on a machine:
kept by the content of the image as it is stored, before it is resized for the network."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from functools import partial

import numpy as np
import torch

from metacli.data.few_shot.feature_rows import FeatureRows
from metacli.data.few_shot.pools import Pool
from metacli.data.images import ImageSpec, fit
from metacli.engine.encoders.feature_cache import FeatureCache
from metacli.engine.encoders.parameters import backbone_of
from metacli.engine.encoders.pretrained import NETWORKS, pretrained
from metacli.engine.events import Progress, Reporter, ignore
from metacli.engine.models.inputs import InputSpec
from metacli.engine.storage.paths import cache_root
from metacli.nn.backbones.efficientnet_lite0 import SHORTER, SIZE, EfficientNetLite0
from metacli.nn.backbones.frozen import Frozen
from metacli.nn.backbones.table import make_backbone
from metacli.nn.layers.inputs import PixelInput, channels_last
from metacli.schema.recipe import Recipe

SEES = ImageSpec(3, SIZE, SIZE, SHORTER)
SEEN = InputSpec("image", (3, SIZE, SIZE), shorter=SHORTER)
STORED = {"size": SHORTER, "channels": 3, "middle": True}  # how a user's folder is kept for it
AT_A_TIME = 8  # images: a few stay in a processor's cache


def frozen_of(recipe: Recipe) -> Frozen | None:
    """The backbone of a recipe whose network is a projection of a pretrained encoder's features;
    None of any other."""
    backbone = backbone_of(recipe)
    if backbone is None or backbone.name != "frozen":
        return None
    found = make_backbone("frozen", backbone.options)
    assert isinstance(found, Frozen)
    return found


def pool_of_features(pool: Pool, backbone: Frozen, report: Reporter = ignore) -> Pool:
    """The same classes, each image as its features, once they are asked for.

    The digest stays: it tells which images these are, and how a network sees them is its matter.
    """
    if isinstance(pool.store, FeatureRows):
        return pool
    return replace(pool, store=rows_of_features(pool.images, pool.rows, backbone, report))


def rows_of_features(
    images: np.ndarray, rows: Iterable[np.ndarray], backbone: Frozen, report: Reporter
) -> FeatureRows:
    """The store of images [M, C, H, W] as features; `rows` are all that are ever asked for."""
    compute = partial(features_of_images, backbone=backbone, report=report)
    used = np.unique(np.concatenate(list(rows)))
    return FeatureRows(images, used, bare_width(backbone), compute)


@torch.no_grad()
def features_of_images(
    images: np.ndarray, backbone: Frozen, report: Reporter = ignore, *, fitted: bool = False
) -> np.ndarray:
    """float32 [M, D] of uint8 images [M, C, H, W] of any size.

    Args:
        fitted: they were read as `SEES` says.

    Raises:
        EnvironmentProblem: the encoder is not installed.
    """
    network, width = bare(backbone).build((3, SIZE, SIZE))
    network.load_state_dict(pretrained(backbone.encoder, cache_root(), report))
    entrance = PixelInput(3, invert=False)
    network.eval()

    def compute(part: np.ndarray) -> np.ndarray:
        seen = part if fitted else np.stack([fit(pixels(one), SEES) for one in part])
        return np.asarray(network(channels_last(entrance(torch.from_numpy(seen)))).numpy())

    seen_as = "as it is" if fitted else f"{SHORTER} {SIZE}"
    key = f"{NETWORKS[backbone.encoder].digest} {backbone.features} {seen_as}"
    return FeatureCache(cache_root(), key).features(
        images,
        width,
        compute,
        AT_A_TIME,
        lambda done, total: report(Progress("computing features", done, total, "images")),
    )


def bare(backbone: Frozen) -> EfficientNetLite0:
    """The encoder alone."""
    return EfficientNetLite0(features=backbone.features)


def bare_width(backbone: Frozen) -> int:
    """D of the encoder."""
    return bare(backbone).build((3, SIZE, SIZE))[1]


def pixels(image: np.ndarray) -> np.ndarray:
    """[C, H, W] as `fit` takes it."""
    return image[0] if len(image) == 1 else image.transpose(1, 2, 0)
