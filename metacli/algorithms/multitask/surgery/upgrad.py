"""UPGrad: each gradient projected so that it conflicts with none, then the mean.

P. Quinton, V. Rey, "Jacobian descent for multi-objective optimization", 2024, section 4.1: the
projection of g_t onto the dual cone of the rows is Jᵀ w, w = argmin over w >= e_t of ||Jᵀ w||²,
that is e_t + u with u >= 0: a non-negative least squares for each task.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from metacli.algorithms.multitask.surgery.gram import factor, nonnegative


@dataclass(frozen=True, kw_only=True)
class UPGrad:
    """Nothing to set."""

    def combine(self, rows: Tensor, rng: torch.Generator) -> Tensor:
        half = factor(rows)
        added = [nonnegative(half, -half[:, t]) for t in range(len(rows))]
        weights = torch.stack(added).mean(0) + 1 / len(rows)
        return weights.to(rows.dtype) @ rows
