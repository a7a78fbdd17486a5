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

from metacli.nn.sharing.scheme import Sharing, heads, layer, trunk, trunk_init
from metacli.types import Params

RIDGE = 5.0  # of fitted heads, in rows


@dataclass(frozen=True, kw_only=True)
class Auxiliary(Sharing):
    """Nothing to set."""

    needs_trunk = True
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

    def all_outputs(self, copies: Params, x: Tensor) -> Tensor:
        """What network n says of the rows of task t, [T, N, M] with N = T.

        Args:
            copies: parameters [T, N, ...], a copy of all networks for each task, so that one
                backward pass gives the gradient of every loss by itself; or [1, N, ...].
        """
        tasks = copies["heads.bias"].shape[1]
        copies = {name: value.expand(tasks, *value.shape[1:]) for name, value in copies.items()}
        rows = x.expand(tasks, *x.shape[-2:])
        flat = {k: v.flatten(0, 1) for k, v in copies.items() if k.startswith("trunk.")}
        f = trunk(flat, rows.repeat_interleave(tasks, 0))  # [T·N, M, F]
        own = torch.eye(tasks, dtype=torch.bool, device=f.device)
        at = torch.arange(tasks)
        others = (copies[f"auxiliary.{name}"][at, :, at] for name in ("weight", "bias"))
        weight = torch.where(own[..., None], copies["heads.weight"], next(others))
        bias = torch.where(own, copies["heads.bias"], next(others))
        f = f.view(tasks, tasks, *f.shape[1:])
        return (f @ weight[..., None]).squeeze(-1) + bias[..., None]

    def fit_heads(self, params: Params, x: Tensor, y: Tensor, mask: Tensor) -> Params:
        """All heads, own and auxiliary, as ridge regressions on the trunks as they are; classes
        are fitted as numbers around 0, which has the same sign."""
        tasks = len(y)
        rows = x.expand(tasks, *x.shape[-2:])
        f = trunk(params, rows.reshape(-1, x.shape[-1])).view(tasks, tasks, rows.shape[1], -1)
        f = torch.cat([f, torch.ones_like(f[..., :1])], -1) * mask[..., None]  # [N, T, M, F+1]
        left = f.mT @ f + RIDGE * torch.eye(f.shape[-1], dtype=f.dtype, device=f.device)
        w = torch.linalg.solve(left, (f.mT @ (y * mask)[None, ..., None])).squeeze(-1)
        at = torch.arange(tasks)
        return {
            **params,
            "heads.weight": w[at, at, :-1],
            "heads.bias": w[at, at, -1],
            "auxiliary.weight": w[..., :-1],
            "auxiliary.bias": w[..., -1],
        }

    def penalty(self, params: Params) -> Tensor:
        return params["heads.bias"].new_zeros(())

    def shared(self, names: Sequence[str]) -> tuple[str, ...]:
        return ()
