"""Progressive layered extraction: experts that are shared, experts that are a task's own, and gates
that separate what is common from what is not, layer by layer.

H. Tang, J. Liu, M. Zhao, X. Gong, "Progressive Layered Extraction (PLE): A Novel Multi-Task
Learning (MTL) Model for Personalized Recommendations", RecSys 2020, equations 1-8. With one hidden
layer it is their customised gate control (CGC).

In layer k task t mixes its own and the shared experts, h_t = Σ_e softmax(G_t h_t)_e f_e, by a gate
on the layer's input; the shared path mixes all experts of the layer by a gate of its own and goes
on to the next layer's shared experts, as h_t goes on to the task's own. The last layer has no
shared path. Experts are one layer with ReLU.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Annotated

import torch
from annotated_types import Ge
from torch import Tensor

from metacli.nn.sharing.scheme import Sharing, heads, layer
from metacli.types import Params


@dataclass(frozen=True, kw_only=True)
class PLE(Sharing):
    """own: experts of each task in every layer. experts: shared ones."""

    own: Annotated[int, Ge(1)] = 1
    experts: Annotated[int, Ge(1)] = 2

    needs_trunk = True

    def init(self, sizes: Sequence[int], tasks: int, rng: torch.Generator) -> Params:
        params: Params = {}
        last = len(sizes) - 2
        for k, (fan_in, fan_out) in enumerate(pairwise(sizes)):
            params[f"trunk.{k}.weight"] = layer(fan_in, (self.experts, fan_in, fan_out), rng)
            params[f"trunk.{k}.bias"] = layer(fan_in, (self.experts, fan_out), rng)
            mine, count = (tasks, self.own), self.own + self.experts
            params[f"own.{k}.weight"] = layer(fan_in, (*mine, fan_in, fan_out), rng)
            params[f"own.{k}.bias"] = layer(fan_in, (*mine, fan_out), rng)
            params[f"gates.{k}.weight"] = layer(fan_in, (tasks, fan_in, count), rng)
            params[f"gates.{k}.bias"] = torch.zeros(tasks, count)
            if k < last:
                every = tasks * self.own + self.experts
                params[f"trunk.{k}.gate"] = layer(fan_in, (fan_in, every), rng)
        params["heads.weight"] = layer(sizes[-1], (tasks, sizes[-1]), rng)
        params["heads.bias"] = layer(sizes[-1], (tasks,), rng)
        return params

    def forward(self, params: Params, x: Tensor) -> Tensor:
        tasks = len(params["heads.bias"])
        if x.dim() == 2:
            return heads(params, self.features(params, x))
        # A task's rows meet every task's experts on the shared path: all rows through everything.
        rows = self.features(params, x.reshape(-1, x.shape[-1]))  # [T, T·M, F]
        each = rows.view(tasks, tasks, x.shape[1], -1).diagonal().movedim(-1, 0)  # [T, M, F]
        return heads(params, each)

    def features(self, params: Params, x: Tensor) -> Tensor:
        """[T, M, F] of rows [M, D] that all tasks share."""
        tasks = len(params["heads.bias"])
        common, own = x, x.expand(tasks, *x.shape)  # the two paths: [M, D] and [T, M, D]
        number = 0
        while (weight := params.get(f"trunk.{number}.weight")) is not None:
            part = {n: params[f"{n}.{number}.weight"] for n in ("own", "gates")}
            bias = {n: params[f"{n}.{number}.bias"] for n in ("trunk", "own", "gates")}
            shared = torch.relu(common @ weight + bias["trunk"][:, None])  # [E, M, F]
            mine = torch.relu(own[:, None] @ part["own"] + bias["own"][:, :, None])  # [T, O, M, F]
            gate = torch.softmax(own @ part["gates"] + bias["gates"][:, None], -1)  # [T, M, O + E]
            both = torch.cat([mine, shared.expand(tasks, *shared.shape)], 1)
            if (gate_of_all := params.get(f"trunk.{number}.gate")) is not None:
                every = torch.cat([mine.flatten(0, 1), shared])  # [T·O + E, M, F]
                common = torch.einsum("me,emf->mf", torch.softmax(common @ gate_of_all, -1), every)
            own = torch.einsum("tme,temf->tmf", gate, both)
            number += 1
        return own

    def penalty(self, params: Params) -> Tensor:
        return params["heads.bias"].new_zeros(())

    def shared(self, names: Sequence[str]) -> tuple[str, ...]:
        return tuple(name for name in names if name.startswith("trunk."))
