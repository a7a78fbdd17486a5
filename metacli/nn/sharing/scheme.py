"""What every sharing scheme is, and the layers they are made of.

Letters: T tasks, M rows, D columns, F features. Weights are [D, F], or [T, D, F] where each task
has its own: 139 tasks are one batched product. x is [T, M, D], or [M, D] where all tasks share
their rows; predictions are [T, M].
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from itertools import pairwise
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor

from metacli.types import Batch, Params

Block = tuple[tuple[int, ...], tuple[str, ...]]
"""Tasks that share parameters, and the names of these."""


class Sharing(ABC):
    """The base of the schemes: frozen dataclasses of options whose methods are the network of all
    tasks. What a scheme can do beyond that it declares by the properties below."""

    @property
    @abstractmethod
    def needs_trunk(self) -> bool:
        """Shares hidden layers, so there must be some."""

    @property
    def copies(self) -> bool:
        """`forward` also takes shared parameters with a leading task axis, a copy for each task."""
        return False

    @property
    def apart(self) -> bool:
        """Each task has a network of its own."""
        return False

    @property
    def sparse(self) -> bool:
        """Packed rows come as sparse tensors."""
        return False

    @property
    def one_network(self) -> bool:
        """Whether a new task can begin with a network that the tasks share, or are pulled to."""
        return True

    @abstractmethod
    def init(self, sizes: Sequence[int], tasks: int, rng: torch.Generator) -> Params:
        """Fresh weights. sizes: D and the units of each hidden layer."""

    @abstractmethod
    def forward(self, params: Params, x: Tensor) -> Tensor:
        """[T, M] from standardised x."""

    @abstractmethod
    def penalty(self, params: Params) -> Tensor:
        """What pulls the tasks together, added to the loss; a scalar."""

    @abstractmethod
    def shared(self, names: Sequence[str]) -> tuple[str, ...]:
        """The parameters that every task's loss reaches, first layer first; () when there are
        none."""

    def blocks(self, names: Sequence[str], tasks: int) -> list[Block]:
        """Who shares what: all tasks the same."""
        return [(tuple(range(tasks)), self.shared(names))]


@runtime_checkable
class Solvable(Protocol):
    """A scheme whose problem is convex: the only step assigns its solution."""

    def solve(
        self, batch: Batch, rng: torch.Generator, binary: Tensor | None = None
    ) -> tuple[Params, Tensor]:
        """The solution on standardised rows, its penalties chosen on folds of them; and the loss
        of each choice."""
        ...

    def refit(self, batch: Batch, params: Params, binary: Tensor | None = None) -> Params:
        """The solution on other rows with the penalties that `params` hold."""
        ...


@runtime_checkable
class ForKinds(Protocol):
    """A scheme that is not for every kind of task."""

    @property
    def kinds(self) -> tuple[str, ...]: ...


@runtime_checkable
class ForSizes(Protocol):
    """A scheme with options for so many tasks."""

    def wrong(self, tasks: int) -> str | None:
        """What does not fit so many tasks."""
        ...


def layer(fan_in: int, shape: Sequence[int], rng: torch.Generator) -> Tensor:
    """Uniform in ±1/sqrt(fan_in), as `torch.nn.Linear` begins."""
    bound = fan_in**-0.5
    result: Tensor = (2 * torch.rand(tuple(shape), generator=rng) - 1) * bound
    return result


def trunk_init(sizes: Sequence[int], rng: torch.Generator, prefix: str = "trunk") -> Params:
    """Weights of the hidden layers: `trunk.0.weight` [D, F], `trunk.0.bias` [F], ..."""
    params: Params = {}
    for number, (size_in, size_out) in enumerate(pairwise(sizes)):
        params[f"{prefix}.{number}.weight"] = layer(size_in, (size_in, size_out), rng)
        params[f"{prefix}.{number}.bias"] = layer(size_in, (size_out,), rng)
    return params


def trunk(params: Params, x: Tensor, prefix: str = "trunk") -> Tensor:
    """Hidden layers with ReLU; [.., M, D] -> [.., M, F]."""
    number = 0
    while (weight := params.get(f"{prefix}.{number}.weight")) is not None:
        bias = params[f"{prefix}.{number}.bias"]
        x = torch.relu(x @ weight + (bias if bias.dim() == 1 else bias[:, None]))
        number += 1
    return x


def heads(params: Params, features: Tensor) -> Tensor:
    """One linear output for each task: [M, F] or [T, M, F] -> [T, M]. Weights [T, K, F] are K
    outputs for each: [T, M, K]."""
    weight, bias = params["heads.weight"], params["heads.bias"]
    if weight.dim() == 3:
        return features @ weight.mT + bias[:, None]
    if features.dim() == 2:
        return (features @ weight.mT).mT + bias[:, None]
    # A batch of products with one column takes up to three times as long.
    return (features * weight[:, None]).sum(-1) + bias[:, None]
