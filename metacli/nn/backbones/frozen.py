"""A pretrained encoder that stays as it is under a small network that is trained: a projection of
its features, by which meta-learning on many images takes minutes.

    f(x) = s · u / ‖u‖,   u = z + B A z,   z = encoder(x)

B begins at 0, so that an untrained projection has the geometry of the encoder itself, as in LoRA
(E. J. Hu et al., ICLR 2022, https://arxiv.org/abs/2106.09685, section 4.1). s is learned.

Rows that are features already pass by the encoder: one network for images and for their features,
which are computed once. The encoder's parameters are buffers: no optimiser and no inner loop moves
them.

Shape letters: M images, C channels, H W pixels, D features, R rank of the change.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from dataclasses import dataclass
from typing import Annotated, Literal

import torch
from annotated_types import Ge, Gt
from torch import Tensor, nn

from metacli.nn.backbones.efficientnet_lite0 import EfficientNetLite0, Features
from metacli.nn.backbones.text import unit

ENCODER = "encoder."


@dataclass(frozen=True, kw_only=True)
class Frozen:
    """Options of the backbone.

    Args:
        encoder: whose features are projected.
        features: which of its layers, as its own option says.
        rank: R.
        scale: s at the beginning.
    """

    encoder: Literal["efficientnet-lite0"] = "efficientnet-lite0"
    features: Features = "joined"
    rank: Annotated[int, Ge(1)] = 64
    scale: Annotated[float, Gt(0)] = 4.0

    takes = ("image",)

    def build(self, input_shape: tuple[int, ...]) -> tuple[nn.Module, int]:
        """The module for [C, H, W] images with values 0..1, and its D."""
        network, width = EfficientNetLite0(features=self.features).build(input_shape)
        return FrozenNet(as_buffers(network), Projection(width, self.rank, self.scale)), width


class FrozenNet(nn.Sequential):
    """[M, C, H, W], or features [M, D], -> [M, D]."""

    def __init__(self, encoder: nn.Module, projection: nn.Module) -> None:
        super().__init__(OrderedDict(encoder=encoder, projection=projection))

    def forward(self, x: Tensor) -> Tensor:
        z: Tensor = x if x.dim() == 2 else self[0](x)
        found: Tensor = self[1](z)
        return found


class Projection(nn.Module):
    """[M, D] -> [M, D], rows of one length s."""

    def __init__(self, features: int, rank: int, scale: float) -> None:
        super().__init__()
        self.begin = math.log(scale)
        self.down = nn.Parameter(torch.zeros(rank, features))  # A
        self.up = nn.Parameter(torch.zeros(features, rank))  # B
        self.log_scale = nn.Parameter(torch.tensor(self.begin))

    def reset_parameters(self) -> None:
        nn.init.normal_(self.down, std=self.down.shape[1] ** -0.5)
        nn.init.zeros_(self.up)
        nn.init.constant_(self.log_scale, self.begin)

    def forward(self, z: Tensor) -> Tensor:
        return self.log_scale.exp() * unit(z + z @ self.down.T @ self.up.T)


def as_buffers(network: nn.Module) -> nn.Module:
    """The network with its parameters as buffers of the same names."""
    for layer in network.modules():
        for name, value in list(layer.named_parameters(recurse=False)):
            delattr(layer, name)
            layer.register_buffer(name, value.detach())
    return network
