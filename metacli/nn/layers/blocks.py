"""Small layers that backbones share."""

from __future__ import annotations

from torch import Tensor, nn


class MeanOverSpace(nn.Module):
    def forward(self, x: Tensor) -> Tensor:  # [M, C, H, W] -> [M, C]
        return x.mean((-2, -1))
