"""No backbone at all: features are the numbers as they come, and the head is the model."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import ClassVar

from torch import nn


@dataclass(frozen=True, kw_only=True)
class Linear:
    """Nothing to set."""

    takes = ("image", "numbers", "text")
    hidden: ClassVar[tuple[int, ...]] = ()

    def build(self, input_shape: tuple[int, ...]) -> tuple[nn.Module, int]:
        """The module for inputs of this shape and its number of features D."""
        flat = nn.Flatten() if len(input_shape) > 1 else nn.Identity()
        return flat, prod(input_shape)
