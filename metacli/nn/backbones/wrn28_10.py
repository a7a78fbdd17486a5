"""WRN-28-10: S. Zagoruyko, N. Komodakis, "Wide Residual Networks", BMVC 2016,
https://arxiv.org/abs/1605.07146, table 1; the backbone of Rusu et al. 2019 and Mangla et al. 2020
in few-shot learning.

Where we differ: no dropout; the features are the mean over all remaining positions, whatever the
size of the image.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from annotated_types import Ge, Le
from torch import Tensor, nn

from metacli.nn.layers.blocks import MeanOverSpace
from metacli.nn.layers.norms import NormName, make_norm


@dataclass(frozen=True, kw_only=True)
class WRN:
    """Options of the backbone; the defaults are WRN-28-10.

    Args:
        depth: convolutions in all, 6 n + 4 for n blocks in each of the three groups.
        width: factor on the channels 16, 32, 64 of the groups; features are 64 times it.
        norm: normalisation before each convolution.
    """

    depth: Literal[10, 16, 22, 28, 34, 40] = 28
    width: Annotated[int, Ge(1), Le(32)] = 10
    norm: NormName = "group"

    takes = ("image",)

    def build(self, input_shape: tuple[int, ...]) -> tuple[nn.Module, int]:
        """The module for [C, H, W] images and its number of features D."""
        layers: list[nn.Module] = [nn.Conv2d(input_shape[0], 16, 3, padding=1, bias=False)]
        channels = 16
        for group, stride in ((16, 1), (32, 2), (64, 2)):
            for number in range((self.depth - 4) // 6):
                wanted = group * self.width
                layers.append(Block(channels, wanted, stride if number == 0 else 1, self.norm))
                channels = wanted
        end = (make_norm(self.norm, channels), nn.ReLU(), MeanOverSpace())
        return nn.Sequential(*layers, *end), channels


class Block(nn.Module):
    """Two convolutions, each after its normalisation and ReLU, and a shortcut."""

    def __init__(self, channels: int, width: int, stride: int, norm: NormName) -> None:
        super().__init__()
        self.norm1 = make_norm(norm, channels)
        self.conv1 = nn.Conv2d(channels, width, 3, stride, padding=1, bias=norm == "none")
        self.norm2 = make_norm(norm, width)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.relu = nn.ReLU()
        same = channels == width and stride == 1
        self.shortcut = None if same else nn.Conv2d(channels, width, 1, stride, bias=False)

    def forward(self, x: Tensor) -> Tensor:  # [M, C, H, W] -> [M, width, H / stride, W / stride]
        start = self.relu(self.norm1(x))
        h = self.conv2(self.relu(self.norm2(self.conv1(start))))
        shortcut: Tensor = x if self.shortcut is None else self.shortcut(start)
        result: Tensor = shortcut + h
        return result
