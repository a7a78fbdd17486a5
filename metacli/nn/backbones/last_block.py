"""A pretrained encoder of which the last block and the layer after it are trained: the rest stays
as it is, and images that passed it already are rows of numbers.

Letting the last layers alone move is what fine-tuning on few examples needs and can afford: J.
Yosinski, J. Clune, Y. Bengio, H. Lipson, "How transferable are features in deep neural networks?",
NeurIPS 2014, https://arxiv.org/abs/1411.1792. Of EfficientNet-Lite0 they are an eighth of the
arithmetic and a quarter of the parameters; the features are the two of its `joined`.

Shape letters: M images, C channels, H W pixels, D features, S numbers to a side of a map.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from metacli.nn.backbones.efficientnet_lite0 import (
    LAST,
    MEAN,
    STAGES,
    STD,
    WIDTH,
    Network,
)
from metacli.nn.backbones.frozen import as_buffers
from metacli.types import Params

CHANNELS = STAGES[-2][3]  # that the last block sees
STRIDE = 32  # pixels to a side of what is one number of a map


@dataclass(frozen=True, kw_only=True)
class LastBlock:
    """Options of the backbone.

    Args:
        network: whose last block is trained.
    """

    network: Literal["efficientnet-lite0"] = "efficientnet-lite0"

    takes = ("image",)

    def build(self, input_shape: tuple[int, ...]) -> tuple[nn.Module, int]:
        """The module for [C, H, W] images with values 0..1, C 1 or 3, and its D."""
        whole = Network("joined")
        return LastBlockNet(as_buffers(Trunk(whole)), Tail(whole)), WIDTH + LAST


class LastBlockNet(nn.Sequential):
    """[M, C, H, W], or rows [M, CHANNELS S S] that passed the encoder, -> [M, D]."""

    def __init__(self, encoder: nn.Module, tail: nn.Module) -> None:
        super().__init__(OrderedDict(encoder=encoder, tail=tail))

    def forward(self, x: Tensor) -> Tensor:
        z: Tensor = x if x.dim() == 2 else self[0](x)
        found: Tensor = self[1](z)
        return found


class Trunk(nn.Module):
    """Everything before the last block: [M, C, H, W] -> [M, CHANNELS S S]."""

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.stem, self.blocks = network.stem, network.blocks[:-1]

    def forward(self, x: Tensor) -> Tensor:
        if x.shape[1] == 1:
            x = x.expand(-1, 3, -1, -1)
        found: Tensor = self.blocks(F.relu6(self.stem((x - MEAN) / STD)))
        return found.flatten(1)


class Tail(nn.Module):
    """The last block and the layer after it: [M, CHANNELS S S] -> [M, D]."""

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.block, self.head = network.blocks[-1], network.head

    def forward(self, z: Tensor) -> Tensor:
        side = math.isqrt(z.shape[1] // CHANNELS)
        last = self.block(z.unflatten(1, (CHANNELS, side, side)))
        h = F.relu6(self.head(last)).mean((2, 3))
        return torch.cat([F.normalize(h), F.normalize(last.mean((2, 3)))], 1)


def width_before(shape: tuple[int, ...]) -> int:
    """Numbers of an image [C, H, W] that passed the encoder; H and W are the same."""
    return CHANNELS * math.ceil(shape[1] / STRIDE) * math.ceil(shape[2] / STRIDE)


def placed(encoder: Params) -> Params:
    """The parameters of the whole encoder under the names that this network has for them."""
    last = f"blocks.{sum(stage[-1] for stage in STAGES) - 1}."

    def name_of(name: str) -> str:
        if name.startswith(last):
            return f"tail.block.{name.removeprefix(last)}"
        return f"tail.{name}" if name.startswith("head.") else f"encoder.{name}"

    return {name_of(name): value for name, value in encoder.items()}
