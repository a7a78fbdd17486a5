"""Auxiliary tasks: each task has a network of its own that also learns the other tasks.

The form of S. Liu et al., "Auto-Lambda: disentangling dynamic task relationships", TMLR 2022, with
one primary task, for every task at once: network n has a trunk, a head for task n, which answers,
and heads for all the others, which are there so that their losses L_ni may shape the trunk. How
much they may is the matrix of weights of `weighting: meta`; with even weights every network is that
of hard sharing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from metacli.nn.sharing.scheme import heads, layer, trunk, trunk_init
from metacli.types import Params


@dataclass(frozen=True, kw_only=True)
class Auxiliary:
    """Nothing to set."""

    needs_trunk = True
    copies = False
    apart = True

    def init(self, sizes: Sequence[int], tasks: int, rng: torch.Generator) -> Params:
        """All networks begin alike."""
        features = sizes[-1]
        one = trunk_init(sizes, rng)
        one["heads.weight"] = layer(features, (features,), rng)
        one["heads.bias"] = layer(features, (), rng)
        one["auxiliary.weight"] = layer(features, (tasks, features), rng)
        one["auxiliary.bias"] = layer(features, (tasks,), rng)
        return {name: value.expand(tasks, *value.shape).clone() for name, value in one.items()}

    def forward(self, params: Params, x: Tensor) -> Tensor:
        return heads(params, trunk(params, x))

    def all_outputs(self, params: Params, x: Tensor) -> Tensor:
        """What network n says of the rows of task t, [N, T, M] with N = T."""
        tasks = len(params["heads.bias"])
        rows = x.expand(tasks, *x.shape[-2:])
        f = trunk(params, rows.reshape(-1, x.shape[-1]))  # [N, T·M, F]
        f = f.view(tasks, tasks, rows.shape[1], -1)
        own = torch.eye(tasks, dtype=torch.bool, device=f.device)
        weight = torch.where(own[..., None], params["heads.weight"], params["auxiliary.weight"])
        bias = torch.where(own, params["heads.bias"], params["auxiliary.bias"])
        return (f @ weight[..., None]).squeeze(-1) + bias[..., None]

    def penalty(self, params: Params) -> Tensor:
        return params["heads.bias"].new_zeros(())

    def shared(self, names: Sequence[str]) -> tuple[str, ...]:
        return ()
