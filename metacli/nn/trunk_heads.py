"""A trunk and a head for every task, each task with a copy of its own: the network of the learners
of sets that adapt by gradient steps.

Parameters carry leading axes [B, T], a copy for each task of each set, so that a step of one task
moves its copy alone; [B, 1] where the tasks of a set have one copy together. θ holds one trunk, and
one head per role (a single head where tasks have no names).

Shape letters: B sets, T tasks, M rows, D inputs, R roles.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor
from torch.nn import functional as F

from metacli.types import Params

HEAD = ("head.weight", "head.bias")
SET_CONTEXT, TASK_CONTEXT = "context.set", "context.task"


@dataclass(frozen=True)
class TrunkHeads:
    """An MLP with SiLU units and one output per task.

    Args:
        inputs: D. roles: named tasks of the source, 0 where tasks have no names.
        hidden: units of the layers of the trunk. context: further inputs of the set and as many of
        the task, which are 0 before adaptation (CAVIA).
        frequencies: octaves of sines and cosines of each input, the lowest with period `period`.
    """

    inputs: int
    roles: int
    hidden: tuple[int, ...] = (64, 64)
    context: int = 0
    frequencies: int = 0
    period: float = 20.0

    def init(self, seed: int, dtype: torch.dtype = torch.float32) -> Params:
        """Fresh θ: normal weights of variance 1 / inputs, zero biases, small heads."""
        rng = torch.Generator().manual_seed(seed)
        sizes = (self.inputs * (1 + 2 * self.frequencies) + 2 * self.context, *self.hidden)
        params: Params = {}
        for layer, (before, after) in enumerate(pairwise(sizes)):
            weight = torch.randn(after, before, generator=rng) * (2 / before) ** 0.5
            params[f"trunk.{layer}.weight"] = weight
            params[f"trunk.{layer}.bias"] = torch.zeros(after)
        heads = max(self.roles, 1)
        params["head.weight"] = torch.randn(heads, sizes[-1], generator=rng) * sizes[-1] ** -0.5
        params["head.bias"] = torch.zeros(heads)
        return {name: value.to(dtype) for name, value in params.items()}

    def copies(
        self,
        params: Params,
        roles: Tensor,
        *,
        one_trunk: bool = False,
        moves: frozenset[str] | None = None,
    ) -> Params:
        """φ_0: each task's own copy of θ, [B, T, ...].

        Args:
            one_trunk: the trunk and the context of the set are one copy for all tasks, [B, 1, ...].
            moves: names that will move; what is in the trunk beside them is [1, 1, ...].
        """
        sets, tasks = roles.shape
        at, several = self.rows(roles), 1 if one_trunk else tasks
        found = {}
        for name in self.names:
            value = params[name]
            size = (1, 1) if moves is not None and name not in moves else (sets, several)
            found[name] = value[at] if name in HEAD else value.expand(*size, *value.shape)
        if self.context:
            none = params["head.weight"].new_zeros(sets, tasks, self.context)
            found |= {SET_CONTEXT: none[:, :several], TASK_CONTEXT: none}
        return found

    def rows(self, roles: Tensor) -> Tensor:
        """The row of each task in what θ has one of for each role."""
        return roles.clamp(min=0) if self.roles else torch.zeros_like(roles)

    @property
    def names(self) -> tuple[str, ...]:
        """The names in θ, first layer first."""
        layers = [
            f"trunk.{i}.{part}" for i in range(len(self.hidden)) for part in ("weight", "bias")
        ]
        return (*layers, *HEAD)

    def forward(self, copies: Params, x: Tensor) -> Tensor:
        """Every task's rows through its own copy: [B, T, M, D] to [B, T, M]."""
        out = (self.features(copies, x) @ copies["head.weight"][..., None])[..., 0]
        return out + copies["head.bias"][..., None]

    def features(self, copies: Params, x: Tensor) -> Tensor:
        """What the heads read, [B, T, M, D] to [B, T, M, F]."""
        h = self.waves(x)
        if self.context:
            parts = [copies[name][:, :, None] for name in (SET_CONTEXT, TASK_CONTEXT)]
            h = torch.cat([h, *(part.expand(*h.shape[:-1], -1) for part in parts)], -1)
        for i in range(len(self.hidden)):
            h = F.silu(affine(h, copies[f"trunk.{i}.weight"], copies[f"trunk.{i}.bias"]))
        return h

    def waves(self, x: Tensor) -> Tensor:
        """x [..., D], a quarter of the period as the unit, with its sines and cosines, [..., D (1 +
        2 F)]."""
        octaves = 2.0 ** torch.arange(self.frequencies, device=x.device, dtype=x.dtype)
        angles = (2 * math.pi / self.period * octaves * x[..., None]).flatten(-2)
        return torch.cat([4 / self.period * x, angles.sin(), angles.cos()], -1)


def affine(h: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """Rows [B, T, M, D] by copies [B, T, O, D] and [B, T, O], or by one for all tasks [B, 1, ...],
    in whose product the rows of all tasks are one long table, or by one for all sets [1, 1, ...].
    """
    if weight.shape[:2] == (1, 1):
        return F.linear(h, weight[0, 0], bias[0, 0])
    if weight.shape[1] == h.shape[1]:
        return h @ weight.transpose(-1, -2) + bias[:, :, None]
    long = h.flatten(1, 2) @ weight[:, 0].transpose(-1, -2) + bias
    result: Tensor = long.unflatten(1, h.shape[1:3])
    return result
