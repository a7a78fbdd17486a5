"""Soft sharing: each task has a network of its own, pulled to the mean of all.

T. Evgeniou, M. Pontil, "Regularized multi-task learning", KDD 2004, for linear functions; L. Duong
et al., ACL 2015, for networks. Objective: mean_t L_t(θ_t) + strength · mean_t ||θ_t - θ̄||². All
networks begin alike. Strength 0 is single-task training: the networks never meet.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

import torch
from annotated_types import Ge
from torch import Tensor

from metacli.nn.sharing.scheme import Sharing, heads, layer, trunk, trunk_init
from metacli.types import Params


@dataclass(frozen=True, kw_only=True)
class SoftL2(Sharing):
    """Options.

    Args:
        strength: of the pull to the mean.
    """

    strength: Annotated[float, Ge(0)] = 0.01

    needs_trunk = False
    apart = True  # each task has a network of its own

    def init(self, sizes: Sequence[int], tasks: int, rng: torch.Generator) -> Params:
        one = trunk_init(sizes, rng)
        one["heads.weight"] = layer(sizes[-1], (sizes[-1],), rng)
        one["heads.bias"] = layer(sizes[-1], (), rng)
        return {name: value.expand(tasks, *value.shape).clone() for name, value in one.items()}

    def forward(self, params: Params, x: Tensor) -> Tensor:
        return heads(params, trunk(params, x))

    def penalty(self, params: Params) -> Tensor:
        parts = [(value - value.mean(0)).square().sum() for value in self._own(params)]
        return self.strength * torch.stack(parts).sum() / len(params["heads.bias"])

    def shared(self, names: Sequence[str]) -> tuple[str, ...]:
        return ()

    def _own(self, params: Params) -> list[Tensor]:
        return [v for name, v in params.items() if name.startswith(("trunk.", "heads."))]


@dataclass(frozen=True, kw_only=True)
class Apart(SoftL2):
    """Each task by itself: the single-task baseline, batched over the tasks."""

    strength: Annotated[float, Ge(0)] = 0.0
