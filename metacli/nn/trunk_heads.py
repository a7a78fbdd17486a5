"""A trunk and a head for every task, each task with a copy of its own: the network of the learners
of sets that adapt by gradient steps.

Parameters carry leading axes [B, T], a copy for each task of each set, so that a step of one task
moves its copy alone. θ holds one trunk, and one head per role (a single head where tasks have no
names).

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

    def copies(self, params: Params, roles: Tensor) -> Params:
        """φ_0: each task's own copy of θ, [B, T, ...]."""
        sets, tasks = roles.shape
        at = roles.clamp(min=0) if self.roles else torch.zeros_like(roles)
        found = {}
        for name in self.names:
            value = params[name]
            found[name] = value[at] if name in HEAD else value.expand(sets, tasks, *value.shape)
        if self.context:
            for name in (SET_CONTEXT, TASK_CONTEXT):
                found[name] = params["head.weight"].new_zeros(sets, tasks, self.context)
        return found

    @property
    def names(self) -> tuple[str, ...]:
        """The names in θ, first layer first."""
        layers = [
            f"trunk.{i}.{part}" for i in range(len(self.hidden)) for part in ("weight", "bias")
        ]
        return (*layers, *HEAD)

    def forward(self, copies: Params, x: Tensor) -> Tensor:
        """Every task's rows through its own copy: [B, T, M, D] to [B, T, M]."""
        h = self.waves(x)
        if self.context:
            both = torch.cat([copies[SET_CONTEXT], copies[TASK_CONTEXT]], -1)[:, :, None]
            h = torch.cat([h, both.expand(*h.shape[:-1], -1)], -1)
        for i in range(len(self.hidden)):
            weight, bias = copies[f"trunk.{i}.weight"], copies[f"trunk.{i}.bias"]
            h = F.silu(h @ weight.transpose(-1, -2) + bias[:, :, None])
        out = (h @ copies["head.weight"][..., None])[..., 0]
        return out + copies["head.bias"][..., None]

    def waves(self, x: Tensor) -> Tensor:
        """x [..., D], a quarter of the period as the unit, with its sines and cosines, [..., D (1 +
        2 F)]."""
        octaves = 2.0 ** torch.arange(self.frequencies, device=x.device, dtype=x.dtype)
        angles = (2 * math.pi / self.period * octaves * x[..., None]).flatten(-2)
        return torch.cat([4 / self.period * x, angles.sin(), angles.cos()], -1)
