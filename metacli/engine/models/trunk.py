"""The network that the tasks of a multi-task model share, as the `Problem` that every transfer
method takes. A model that was adapted from one has these parameters, under these names."""

from __future__ import annotations

from itertools import pairwise
from typing import Literal

import torch
from torch import Tensor, nn

from metacli.engine.models.inputs import InputSpec
from metacli.engine.models.multi_task_networks import trunk_of
from metacli.nn.multi_task import Encoder
from metacli.nn.problem import Problem, make_module
from metacli.schema.multi_task import MultiTaskRecipe


class Standardise(nn.Module):
    """(x - mean) / scale with the statistics of the training rows, in the shape of one example."""

    mean: Tensor
    scale: Tensor

    def __init__(self, shape: tuple[int, ...]) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(shape))
        self.register_buffer("scale", torch.ones(shape))

    def forward(self, x: Tensor) -> Tensor:
        return (x.to(self.mean.dtype) - self.mean) / self.scale


def trunk_problem(
    recipe: MultiTaskRecipe, inputs: InputSpec, kind: Literal["classification", "regression"]
) -> Problem:
    """The stateless trunk of a multi-task recipe, its inputs standardised, without heads."""
    shape = inputs.shape
    sizes, encoder = trunk_of(recipe, inputs)
    return Problem(
        module=make_module(Standardise(shape), body_of(sizes, encoder, flat=len(shape) > 1)),
        features=sizes[-1],
        kind=kind,
        head=None,
    )


def body_of(sizes: tuple[int, ...], encoder: Encoder | None, *, flat: bool) -> nn.Module:
    """What reads images, or the hidden layers."""
    if encoder is not None:
        return encoder.module
    layers: list[nn.Module] = []
    for size_in, size_out in pairwise(sizes):
        layers += [nn.Linear(size_in, size_out), nn.ReLU()]
    body = nn.Sequential(*layers) if layers else nn.Identity()
    return nn.Sequential(nn.Flatten(), body) if flat else body
