"""ResNet-12: the residual network of the few-shot literature.

Four blocks of three 3x3 convolutions with a 1x1 shortcut, leaky ReLU and max-pooling: as in K. Lee,
S. Maji, A. Ravichandran, S. Soatto, "Meta-Learning with Differentiable Convex Optimization", CVPR
2019, https://arxiv.org/abs/1904.03758, section 4.1 (64-160-320-640). Where we differ: no DropBlock,
and the features are the mean over space, as in Tian et al. 2020.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from annotated_types import Ge, Le
from torch import Tensor, nn

from metacli.nn.layers.blocks import MeanOverSpace
from metacli.nn.layers.norms import NormName, make_norm

Width = Annotated[int, Ge(1), Le(4096)]
SLOPE = 0.1


@dataclass(frozen=True, kw_only=True)
class ResNet12:
    """Options of the backbone.

    Args:
        widths: channels of the four blocks; the last is the number of features. The other usual
            ones are 64, 128, 256, 512.
        norm: normalisation after each convolution.
    """

    widths: tuple[Width, Width, Width, Width] = (64, 160, 320, 640)
    norm: NormName = "group"

    takes = ("image",)

    def build(self, input_shape: tuple[int, ...]) -> tuple[nn.Module, int]:
        """The module for [C, H, W] images and its number of features D, 0 where nothing is left
        of so small an image."""
        channels, height, width = input_shape
        blocks: list[nn.Module] = []
        for wanted in self.widths:
            blocks.append(Block(channels, wanted, self.norm))
            channels, height, width = wanted, height // 2, width // 2
        return nn.Sequential(*blocks, MeanOverSpace()), channels * min(1, height * width)


class Block(nn.Module):
    """relu(three convolutions + shortcut), halved."""

    def __init__(self, channels: int, width: int, norm: NormName) -> None:
        super().__init__()
        bias = norm == "none"  # before a normalisation it would be a parameter without effect
        self.conv1 = nn.Conv2d(channels, width, 3, padding=1, bias=bias)
        self.norm1 = make_norm(norm, width)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1, bias=bias)
        self.norm2 = make_norm(norm, width)
        self.conv3 = nn.Conv2d(width, width, 3, padding=1, bias=bias)
        self.norm3 = make_norm(norm, width)
        self.shortcut = nn.Conv2d(channels, width, 1, bias=bias)
        self.norm4 = make_norm(norm, width)
        self.relu = nn.LeakyReLU(SLOPE)
        self.pool = nn.MaxPool2d(2)

    def forward(self, x: Tensor) -> Tensor:  # [M, C, H, W] -> [M, width, H / 2, W / 2]
        h = self.relu(self.norm1(self.conv1(x)))
        h = self.relu(self.norm2(self.conv2(h)))
        h = self.norm3(self.conv3(h))
        pooled: Tensor = self.pool(self.relu(h + self.norm4(self.shortcut(x))))
        return pooled
