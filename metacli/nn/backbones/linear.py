"""No backbone at all: features are the numbers as they come, and the head is the model.
Large images are made smaller by the mean over squares of pixels."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import Annotated, ClassVar

from annotated_types import Ge
from torch import nn


@dataclass(frozen=True, kw_only=True)
class Linear:
    """Options of the backbone.

    Args:
        pool: side of the squares of pixels whose mean is one feature.
    """

    pool: Annotated[int, Ge(1)] = 1

    takes = ("image", "numbers", "text")
    hidden: ClassVar[tuple[int, ...]] = ()

    def build(self, input_shape: tuple[int, ...]) -> tuple[nn.Module, int]:
        """The module for inputs of this shape and its number of features D."""
        if self.pool > 1 and len(input_shape) == 3:
            channels, height, width = input_shape
            small = (channels, height // self.pool, width // self.pool)
            return nn.Sequential(nn.AvgPool2d(self.pool), nn.Flatten()), prod(small)
        flat = nn.Flatten() if len(input_shape) > 1 else nn.Identity()
        return flat, prod(input_shape)
