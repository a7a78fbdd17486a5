"""Conv4: four 3x3 convolutions, the backbone of the few-shot literature.

Vinyals et al. 2016 and Snell et al. 2017 halve the image with max-pooling, Finn et al. 2017 with
stride 2 on Omniglot (and there take the mean over space before the head).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from annotated_types import Ge, Le
from torch import nn

from metacli.nn.layers.blocks import MeanOverSpace
from metacli.nn.layers.norms import NormName, make_norm


@dataclass(frozen=True, kw_only=True)
class Conv4:
    """Options of the backbone.

    Args:
        width: channels of each of the four layers.
        norm: normalisation after each convolution.
        downsample: how each layer halves the image.
        features: `flatten` keeps the remaining positions, `mean` averages over them.
    """

    width: Annotated[int, Ge(1), Le(1024)] = 64
    norm: NormName = "group"
    downsample: Literal["pool", "stride"] = "pool"
    features: Literal["flatten", "mean"] = "flatten"

    takes = ("image",)

    def build(self, input_shape: tuple[int, ...]) -> tuple[nn.Module, int]:
        """The module for [C, H, W] images and its number of features D, 0 where nothing is left
        of so small an image."""
        channels, height, width = input_shape
        layers: list[nn.Module] = []
        for _ in range(4):
            layers.append(self._layer(channels))
            channels = self.width
            halve = _halved_by_pool if self.downsample == "pool" else _halved_by_stride
            height, width = halve(height), halve(width)
        if self.features == "mean":
            return nn.Sequential(*layers, MeanOverSpace()), channels * min(1, height * width)
        return nn.Sequential(*layers, nn.Flatten()), channels * height * width

    def _layer(self, channels: int) -> nn.Sequential:
        stride = 2 if self.downsample == "stride" else 1
        # A bias before a normalisation that removes the mean would be a parameter without effect.
        layer = nn.Sequential()
        layer.add_module(
            "conv", nn.Conv2d(channels, self.width, 3, stride, 1, bias=self.norm == "none")
        )
        layer.add_module("norm", make_norm(self.norm, self.width))
        if self.downsample == "pool":
            # Before the ReLU, with which it commutes, and which then has a quarter of the work.
            layer.add_module("pool", nn.MaxPool2d(2, ceil_mode=False))
        layer.add_module("relu", nn.ReLU())
        return layer


def _halved_by_pool(size: int) -> int:
    return size // 2


def _halved_by_stride(size: int) -> int:
    return (size + 1) // 2
