"""EfficientNet-Lite0: R. Liu, "Higher accuracy on vision models with EfficientNet-Lite", TensorFlow
blog 2020; EfficientNet-B0 (M. Tan, Q. Le, ICML 2019, https://arxiv.org/abs/1905.11946, table 1)
without squeeze-and-excitation, with ReLU6.

Batch normalisation with statistics that never change is a convolution's gain and bias, so each
layer is one convolution here: w' = w γ / √(v + ε), b' = β - μ γ / √(v + ε). Its outputs are those
of timm's `tf_efficientnet_lite0`, whose state dict has the same entries in the same order.

Shape letters: M images, C channels, H W pixels, D features.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from metacli.types import Params

EPS = 1e-3  # of the batch normalisation that is folded in
STAGES = (  # kernel, stride, expansion, channels, blocks
    (3, 1, 1, 16, 1),
    (3, 2, 6, 24, 2),
    (5, 2, 6, 40, 2),
    (3, 2, 6, 80, 3),
    (5, 1, 6, 112, 3),
    (5, 2, 6, 192, 4),
    (3, 1, 6, 320, 1),
)
STEM, LAST, WIDTH = 32, 320, 1280
MEAN, STD = 0.5, 0.5
SIZE, SHORTER = 224, 256  # pixels: what is seen, and the shorter side before that is cut out
ENTRIES = 6  # of a state dict for one layer: a weight, four of its normalisation, and a counter

Features = Literal["joined", "h", "b6"]


@dataclass(frozen=True, kw_only=True)
class EfficientNetLite0:
    """Options of the backbone.

    Args:
        features: `h`, the mean over space of the penultimate layer (1280); `b6`, that of the last
            block (320); `joined`, both, each of length 1.
    """

    features: Features = "joined"

    takes = ("image",)

    def build(self, input_shape: tuple[int, ...]) -> tuple[nn.Module, int]:
        """The module for [C, H, W] images with values 0..1, C 1 or 3, and its D."""
        sizes = {"joined": WIDTH + LAST, "h": WIDTH, "b6": LAST}
        return Network(self.features), sizes[self.features]


class Network(nn.Module):
    """[M, C, H, W] -> [M, D]."""

    def __init__(self, features: Features) -> None:
        super().__init__()
        self.features = features
        self.stem = Same(3, STEM, 3, 2)
        blocks: list[nn.Module] = []
        channels = STEM
        for kernel, stride, expansion, out, count in STAGES:
            for number in range(count):
                blocks.append(Block(channels, out, kernel, 1 if number else stride, expansion))
                channels = out
        self.blocks = nn.Sequential(*blocks)
        self.head = Same(LAST, WIDTH, 1, 1)

    def forward(self, x: Tensor) -> Tensor:
        if x.shape[1] == 1:
            x = x.expand(-1, 3, -1, -1)
        last: Tensor = self.blocks(F.relu6(self.stem((x - MEAN) / STD)))
        b6 = last.mean((2, 3))
        if self.features == "b6":
            return b6
        h = F.relu6(self.head(last)).mean((2, 3))
        return h if self.features == "h" else torch.cat([F.normalize(h), F.normalize(b6)], 1)


class Block(nn.Module):
    """Widen, filter each channel by itself, narrow; added to its input where the shapes agree."""

    def __init__(self, size_in: int, size_out: int, kernel: int, stride: int, wide: int) -> None:
        super().__init__()
        middle = size_in * wide
        self.expand = Same(size_in, middle, 1, 1) if wide > 1 else None
        self.filter = Same(middle, middle, kernel, stride, groups=middle)
        self.project = Same(middle, size_out, 1, 1)
        self.residual = stride == 1 and size_in == size_out

    def forward(self, x: Tensor) -> Tensor:
        wide = x if self.expand is None else F.relu6(self.expand(x))
        found: Tensor = self.project(F.relu6(self.filter(wide)))
        return found + x if self.residual else found


class Same(nn.Conv2d):
    """A convolution padded as TensorFlow's SAME: what is odd goes to the right and the bottom."""

    def __init__(
        self, size_in: int, size_out: int, kernel: int, stride: int, *, groups: int = 1
    ) -> None:
        even = kernel // 2 if stride == 1 else 0
        super().__init__(size_in, size_out, kernel, stride, padding=even, groups=groups)
        self.uneven = stride > 1

    def forward(self, x: Tensor) -> Tensor:
        if self.uneven:
            rows, columns = (
                missing(x.shape[axis], self.kernel_size[0], self.stride[0]) for axis in (2, 3)
            )
            x = F.pad(x, (columns // 2, columns - columns // 2, rows // 2, rows - rows // 2))
        return super().forward(x)


def missing(size: int, kernel: int, stride: int) -> int:
    """How many rows of zeros give ceil(size / stride) outputs."""
    return max((-(-size // stride) - 1) * stride + kernel - size, 0)


def layers(network: Network) -> Iterator[tuple[str, Same]]:
    """The convolutions in the order in which they are computed."""
    for name, layer in network.named_modules():
        if isinstance(layer, Same):
            yield name, layer


def folded(state: Mapping[str, Tensor]) -> Params:
    """The parameters of `Network` from a state dict with batch normalisation, whatever its names.

    Raises:
        ValueError: its entries are not, in this order and with these shapes, those of the network.
    """
    values, network = list(state.values()), Network("h")
    found: Params = {}
    for number, (name, layer) in enumerate(layers(network)):
        entry = values[number * ENTRIES : (number + 1) * ENTRIES]
        if len(entry) < ENTRIES or entry[0].shape != layer.weight.shape:
            raise ValueError(f"entry {number * ENTRIES} of the state dict is not {name}")
        weight, gain, bias, mean, var = (one.double() for one in entry[:5])
        scale = gain / (var + EPS).sqrt()
        found[f"{name}.weight"] = (weight * scale[:, None, None, None]).float()
        found[f"{name}.bias"] = (bias - mean * scale).float()
    return found
