"""Cross-stitch networks: a network for each task, whose activations are mixed after every layer.

I. Misra et al., "Cross-stitch networks for multi-task learning", CVPR 2016, equation 1: after layer
l, h_t <- Σ_s A^l_ts h_s, with A^l [T, T] learned. A starts with `own` on the diagonal and the rest
shared evenly; the networks start with weights of their own. Where tasks have their own rows, these
pass through the networks of all tasks.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Annotated

import torch
from annotated_types import Ge, Le
from torch import Tensor

from metacli.nn.sharing.scheme import Sharing, heads, layer
from metacli.types import Params


@dataclass(frozen=True, kw_only=True)
class CrossStitch(Sharing):
    """own: share of a task's own activations in its mixture at the start."""

    own: Annotated[float, Ge(0), Le(1)] = 0.9

    needs_trunk = True

    def init(self, sizes: Sequence[int], tasks: int, rng: torch.Generator) -> Params:
        params: Params = {}
        others = (1 - self.own) / max(1, tasks - 1)
        stitch = torch.full((tasks, tasks), others) + (self.own - others) * torch.eye(tasks)
        for number, (fan_in, fan_out) in enumerate(pairwise(sizes)):
            params[f"trunk.{number}.weight"] = layer(fan_in, (tasks, fan_in, fan_out), rng)
            params[f"trunk.{number}.bias"] = layer(fan_in, (tasks, fan_out), rng)
            params[f"trunk.{number}.stitch"] = stitch.clone()
        params["heads.weight"] = layer(sizes[-1], (tasks, sizes[-1]), rng)
        params["heads.bias"] = layer(sizes[-1], (tasks,), rng)
        return params

    def forward(self, params: Params, x: Tensor) -> Tensor:
        own_rows = x.dim() == 3
        tasks, rows = len(params["heads.bias"]), x.shape[-2]
        h = x.reshape(-1, x.shape[-1])  # all rows through all networks
        number = 0
        while (weight := params.get(f"trunk.{number}.weight")) is not None:
            h = torch.relu(h @ weight + params[f"trunk.{number}.bias"][:, None])  # [T, rows, F]
            h = torch.einsum("ts,smf->tmf", params[f"trunk.{number}.stitch"], h)
            number += 1
        out = heads(params, h)
        if not own_rows:
            return out
        each = out.view(tasks, tasks, rows, *out.shape[2:])  # [T networks, T tasks, M, ...]
        return each.diagonal().movedim(-1, 0)  # the task's own network on its own rows

    def penalty(self, params: Params) -> Tensor:
        return params["heads.bias"].new_zeros(())

    def shared(self, names: Sequence[str]) -> tuple[str, ...]:
        return tuple(name for name in names if name.startswith("trunk."))
