"""A trunk and heads for a set whose tasks may be classifications: the network of the learners of
sets that adapt by gradient steps, on any backbone.

Unlike `TrunkHeads`, whose copies of a small MLP are computed in one product, the sets are computed
one by one, and tasks that share their copy of the trunk go through it together.

Shape letters: T tasks, M rows, N classes, D features, G copies of the trunk.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from metacli.nn.problem import Problem
from metacli.trees import pick
from metacli.types import Params

WEIGHT, BIAS = "head.weight", "head.bias"
VALUE_WEIGHT, VALUE_BIAS = "value.weight", "value.bias"


@dataclass(frozen=True)
class TrunkClasses:
    """θ: a trunk, a head of `way` rows where there is one, and the head of a regression.

    Args:
        encoder: the trunk. way: rows of a learned head; 0: heads are built from the supports.
        shared_labels: class n is the same in every task of a set, which then has one head.
    """

    encoder: Problem
    way: int
    shared_labels: bool

    @property
    def names(self) -> tuple[str, ...]:
        """Of what the inner loop may move: the trunk's, sorted, then the head's."""
        return (*sorted(self.encoder.trainable), WEIGHT, BIAS)

    def init(self, seed: int, dtype: torch.dtype = torch.float32) -> Params:
        """Fresh θ; small heads."""
        rng = torch.Generator().manual_seed(seed)
        params = pick(self.encoder.init(seed, dtype), self.encoder.trainable)
        wide = self.encoder.features

        def small(rows: int) -> Tensor:
            drawn: Tensor = torch.randn(rows, wide, generator=rng) * wide**-0.5
            return drawn.to(dtype)

        if self.way:
            params |= {WEIGHT: small(self.way), BIAS: torch.zeros(self.way, dtype=dtype)}
        return params | {VALUE_WEIGHT: small(1), VALUE_BIAS: torch.zeros(1, dtype=dtype)}

    def features(self, trunk: Params, x: Tensor) -> Tensor:
        """[T, M, *example] to [T, M, D] through one copy of the trunk."""
        found = self.encoder.embed(trunk, x.flatten(0, 1), together=True)
        result: Tensor = found.unflatten(0, x.shape[:2])
        return result

    def read_out(self, weight: Tensor, bias: Tensor, features: Tensor) -> Tensor:
        """Heads [T, N, D] and [T, N] on features [T, M, D]: [T, M, N]."""
        return features @ weight.transpose(-1, -2) + bias[:, None]
