"""What happens to an example before the backbone sees it. Part of the network, so that every
export contains it."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class PixelInput(nn.Module):
    """Pixels 0..255, as they stand in the file, to x · scale + offset per channel.

    `scale` and `offset` are buffers: they travel in `Params`, follow its dtype, and are never
    trained.
    """

    scale: Tensor
    offset: Tensor

    def __init__(self, channels: int, *, invert: bool) -> None:
        super().__init__()
        sign, start = (-1.0, 1.0) if invert else (1.0, 0.0)  # inverted: ink 1, paper 0
        self.register_buffer("scale", torch.full((channels, 1, 1), sign / 255))
        self.register_buffer("offset", torch.full((channels, 1, 1), start))

    def forward(self, x: Tensor) -> Tensor:  # [M, C, H, W], any number type
        return x.to(self.scale.dtype) * self.scale + self.offset


class PixelOrFeatureInput(PixelInput):
    """The same for a network of which the features may be given in place of the pixels."""

    def forward(self, x: Tensor) -> Tensor:  # [M, C, H, W], or [M, D]
        return x if x.dim() == 2 else super().forward(x)


def channels_last(x: Tensor) -> Tensor:
    """The same images [M, C, H, W] with their channels side by side in memory: convolutions and
    max-pooling of that layout are twice as fast on CPUs. Anything else is returned as it is.
    (`contiguous` would leave images of one channel as they are.)"""
    if x.dim() != 4:
        return x
    return torch.empty_like(x, memory_format=torch.channels_last).copy_(x)
