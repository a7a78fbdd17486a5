"""PCGrad: project conflicting gradients.

T. Yu et al., "Gradient surgery for multi-task learning", NeurIPS 2020, algorithm 1: for each task
i, for the others j != i in random order, where g_i·g_j < 0: g_i <- g_i - (g_i·g_j / ||g_j||²) g_j,
with g_j the original gradient; the sum over i is the direction.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class PCGrad:
    """Nothing to set."""

    def combine(self, rows: Tensor, rng: torch.Generator) -> Tensor:
        total = torch.zeros_like(rows[0])
        for i in range(len(rows)):
            g = rows[i]
            for j in torch.randperm(len(rows), generator=rng).tolist():
                if j == i:
                    continue
                inner = g @ rows[j]
                if inner < 0:
                    g = g - inner / rows[j].square().sum() * rows[j]
            total = total + g
        return total
