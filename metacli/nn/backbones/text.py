"""A small encoder of hashed n-grams: how much each n-gram counts is learned, and a projection that
lets different words mean the same.

    f(x) = s · [z, m · Pz / ‖Pz‖],   z = (x ∘ e^g) / ‖x ∘ e^g‖

With g = 0 it is the cosine geometry of the n-grams themselves, so that an untrained encoder is
already as good as the nearest mean of TF-IDF vectors: g is the log gain of each feature, P a
projection on `width` directions, m its share, s the scale of all (ProtoNet's temperature).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated

import torch
from annotated_types import Ge, Gt
from torch import Tensor, nn

SMALLEST = 1e-6  # a text without any n-gram is the zero vector


@dataclass(frozen=True, kw_only=True)
class Text:
    """Options of the backbone.

    Args:
        width: directions of the projection; 0 leaves it out.
        scale: s at the beginning; it is learned.
        share: m at the beginning; it is learned.
    """

    width: Annotated[int, Ge(0)] = 0
    scale: Annotated[float, Gt(0)] = 4.0
    share: Annotated[float, Gt(0)] = 0.5

    takes = ("text", "numbers")

    def build(self, input_shape: tuple[int, ...]) -> tuple[nn.Module, int]:
        """The module for [F] features and its number of features D = F + width."""
        (features,) = input_shape
        return TextNet(features, self.width, self.scale, self.share), features + self.width


class TextNet(nn.Module):
    """[M, F] -> [M, F + width]."""

    def __init__(self, features: int, width: int, scale: float, share: float) -> None:
        super().__init__()
        self.begin = (math.log(scale), share)
        self.log_gain = nn.Parameter(torch.zeros(features))
        self.log_scale = nn.Parameter(torch.tensor(self.begin[0]))
        self.projection = nn.Linear(features, width, bias=False) if width else None
        self.share = nn.Parameter(torch.tensor(share)) if width else None

    def reset_parameters(self) -> None:
        nn.init.zeros_(self.log_gain)
        nn.init.constant_(self.log_scale, self.begin[0])
        if self.projection is not None and self.share is not None:
            nn.init.normal_(self.projection.weight, std=self.projection.out_features**-0.5)
            nn.init.constant_(self.share, self.begin[1])

    def forward(self, x: Tensor) -> Tensor:
        z = unit(x * self.log_gain.exp())
        if self.projection is not None and self.share is not None:
            z = torch.cat([z, self.share * unit(self.projection(z))], -1)
        return self.log_scale.exp() * z


def unit(x: Tensor) -> Tensor:
    """Rows of length 1. (`F.normalize` has no second derivative at 0, which MAML would meet.)"""
    return x * (x.square().sum(-1, keepdim=True) + SMALLEST**2).rsqrt()
