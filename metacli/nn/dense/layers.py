"""A small network from pixels to pixels, in stages: what the sharing schemes for dense tasks are
made of.

Stage s of the encoder halves the image (but the first) and has `widths[s]` channels; the decoder
doubles it again, with the encoder's features of the same size beside (O. Ronneberger et al.,
"U-Net", MICCAI 2015). Norms are of groups of channels, so that an answer never depends on the
images beside.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

GROUP = 8  # channels of a group of a norm


def convolution(inputs: int, outputs: int, size: int = 3) -> nn.Sequential:
    """Convolution, norm, ReLU; [M, C, S, S] to [M, C', S, S]."""
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, size, padding=size // 2, bias=False),
        nn.GroupNorm(max(1, outputs // GROUP), outputs),
        nn.ReLU(),
    )


def halved(x: Tensor) -> Tensor:
    return F.max_pool2d(x, 2)


def doubled(x: Tensor) -> Tensor:
    return F.interpolate(x, scale_factor=2, mode="nearest")


class Stages(nn.Module):
    """The stages of one network, each of which a scheme may look at, or mix.

    Args:
        widths: channels of each stage, the finest first.
    """

    def __init__(self, inputs: int, widths: Sequence[int]) -> None:
        super().__init__()
        before = [inputs, *widths[:-1]]
        self.down = nn.ModuleList(
            nn.Sequential(convolution(a, b), convolution(b, b))
            for a, b in zip(before, widths, strict=True)
        )
        deeper = list(itertools.pairwise(widths))[::-1]
        self.up = nn.ModuleList(convolution(a + b, a) for a, b in deeper)
        self.widths = tuple(widths)

    @property
    def outputs(self) -> tuple[int, ...]:
        """Channels of each stage, in the order of `stage`."""
        return (*self.widths, *self.widths[-2::-1])

    def __len__(self) -> int:
        return len(self.down) + len(self.up)

    def stage(self, at: int, before: Sequence[Tensor], x: Tensor) -> Tensor:
        """The features of stage `at`, from the image x and the features of all stages before."""
        last = before[-1] if before else x
        found: Tensor
        if at < len(self.down):
            found = self.down[at](halved(last) if at else last)
        else:
            finer = before[2 * len(self.down) - 2 - at]
            found = self.up[at - len(self.down)](torch.cat([doubled(last), finer], 1))
        return found

    def forward(self, x: Tensor) -> Tensor:
        """Features of every pixel, [M, widths[0], S, S]."""
        found: list[Tensor] = []
        for at in range(len(self)):
            found.append(self.stage(at, found, x))
        return found[-1]


class Head(nn.Module):
    """Two convolutions to the channels of a task."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.hidden = convolution(inputs, inputs)
        self.out = nn.Conv2d(inputs, outputs, 1)

    def forward(self, x: Tensor) -> Tensor:
        found: Tensor = self.out(self.hidden(x))
        return found
