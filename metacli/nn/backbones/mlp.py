"""A multi-layer perceptron; 40-40 is the network of the sinusoid experiments (Finn et al. 2017,
section 5.1)."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from math import prod
from typing import Annotated

from annotated_types import Ge
from torch import nn


@dataclass(frozen=True, kw_only=True)
class MLP:
    """Options of the backbone.

    Args:
        hidden: units of each hidden layer; the last is the number of features.
    """

    hidden: tuple[Annotated[int, Ge(1)], ...] = (40, 40)

    takes = ("image", "numbers", "text")

    def build(self, input_shape: tuple[int, ...]) -> tuple[nn.Module, int]:
        """The module for inputs of this shape and its number of features D."""
        sizes = (prod(input_shape), *self.hidden)
        layers: list[nn.Module] = [nn.Flatten()] if len(input_shape) > 1 else []
        for size_in, size_out in pairwise(sizes):
            layers += [nn.Linear(size_in, size_out), nn.ReLU()]
        return nn.Sequential(*layers), sizes[-1]
