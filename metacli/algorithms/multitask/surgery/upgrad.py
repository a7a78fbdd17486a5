"""UPGrad: P. Quinton, V. Rey, "Jacobian Descent for Multi-Objective Optimization", 2024,
section 4.1.

Idea: project each gradient so that it conflicts with none, then take the mean.

    direction = (1/T) Σ_t Jᵀ w_t,      w_t = argmin over w ≥ e_t of ‖Jᵀw‖²

w_t = e_t + u with u ≥ 0 is a non-negative least squares for each task.

Where we differ: nothing.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from metacli.algorithms.multitask.balancing import Surgery
from metacli.algorithms.multitask.surgery.gram import factor, nonnegative


@dataclass(frozen=True, kw_only=True)
class UPGrad(Surgery):
    """Nothing to set."""

    def combine(self, rows: Tensor, rng: torch.Generator) -> Tensor:
        half = factor(rows)
        added = [nonnegative(half, -half[:, t]) for t in range(len(rows))]
        weights = torch.stack(added).mean(0) + 1 / len(rows)
        return weights.to(rows.dtype) @ rows
