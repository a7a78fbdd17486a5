"""Hard sharing: one trunk for all tasks, one linear head for each (R. Caruana, "Multitask
learning", 1997)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from metacli.nn.sharing.scheme import Sharing, heads, layer, trunk, trunk_init
from metacli.types import Params


@dataclass(frozen=True, kw_only=True)
class Hard(Sharing):
    """Nothing to set: the backbone says what the trunk is."""

    needs_trunk = True
    copies = True

    def init(self, sizes: Sequence[int], tasks: int, rng: torch.Generator) -> Params:
        params = trunk_init(sizes, rng)
        params["heads.weight"] = layer(sizes[-1], (tasks, sizes[-1]), rng)
        params["heads.bias"] = layer(sizes[-1], (tasks,), rng)
        return params

    def forward(self, params: Params, x: Tensor) -> Tensor:
        return heads(params, trunk(params, x))

    def penalty(self, params: Params) -> Tensor:
        return params["heads.bias"].new_zeros(())

    def shared(self, names: Sequence[str]) -> tuple[str, ...]:
        return tuple(name for name in names if name.startswith("trunk."))
