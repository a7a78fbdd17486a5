"""Multi-gate mixture of experts: several trunks, which each task mixes row by row.

J. Ma et al., "Modeling task relationships in multi-task learning with multi-gate
mixture-of-experts", KDD 2018, equations 5-7: features of task t are Σ_e softmax(G_t x)_e f_e(x),
with experts f_e shared by all tasks and a gate G_t of each task's own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Annotated

import torch
from annotated_types import Ge
from torch import Tensor

from metacli.nn.sharing.scheme import Sharing, heads, layer, trunk
from metacli.types import Params


@dataclass(frozen=True, kw_only=True)
class MMoE(Sharing):
    """experts: trunks of the backbone's size."""

    experts: Annotated[int, Ge(1)] = 4

    needs_trunk = True

    def init(self, sizes: Sequence[int], tasks: int, rng: torch.Generator) -> Params:
        params: Params = {}
        for number, (fan_in, fan_out) in enumerate(pairwise(sizes)):
            params[f"trunk.{number}.weight"] = layer(fan_in, (self.experts, fan_in, fan_out), rng)
            params[f"trunk.{number}.bias"] = layer(fan_in, (self.experts, fan_out), rng)
        params["gates.weight"] = layer(sizes[0], (tasks, sizes[0], self.experts), rng)
        params["gates.bias"] = torch.zeros(tasks, self.experts)
        params["heads.weight"] = layer(sizes[-1], (tasks, sizes[-1]), rng)
        params["heads.bias"] = layer(sizes[-1], (tasks,), rng)
        return params

    def forward(self, params: Params, x: Tensor) -> Tensor:
        gates = torch.softmax(x @ params["gates.weight"] + params["gates.bias"][:, None], -1)
        experts = trunk(params, x.reshape(-1, x.shape[-1]))  # [E, rows, F]
        if x.dim() == 2:
            return heads(params, torch.einsum("tme,emf->tmf", gates, experts))
        own = experts.view(len(experts), *x.shape[:2], -1)  # [E, T, M, F]
        return heads(params, torch.einsum("tme,etmf->tmf", gates, own))

    def penalty(self, params: Params) -> Tensor:
        return params["heads.bias"].new_zeros(())

    def shared(self, names: Sequence[str]) -> tuple[str, ...]:
        return tuple(name for name in names if name.startswith("trunk."))
