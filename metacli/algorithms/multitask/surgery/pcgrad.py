"""PCGrad: T. Yu, S. Kumar, A. Gupta, S. Levine, K. Hausman, C. Finn, "Gradient Surgery for
Multi-Task Learning", NeurIPS 2020, algorithm 1.

Idea: where two gradients conflict, project one onto the normal plane of the other.

    for j ≠ i in random order, where g_i·g_j < 0:  g_i ← g_i − (g_i·g_j / ‖g_j‖²) g_j
    direction = Σ_i g_i

g_j is the original gradient.

Where we differ: nothing. (LibMTL projects a gradient on itself, too.)
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from metacli.algorithms.multitask.balancing import Surgery


@dataclass(frozen=True, kw_only=True)
class PCGrad(Surgery):
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
