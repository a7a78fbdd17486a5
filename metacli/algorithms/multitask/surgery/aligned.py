"""Aligned-MTL: gradients replaced by the nearest ones with condition number 1.

D. Senushkin et al., "Independent component alignment for multi-task learning", CVPR 2023, algorithm
1: JJᵀ = V Λ Vᵀ, B = sqrt(λ_min) V Λ^(-1/2) Vᵀ over the non-zero eigenvalues, and the direction
is Jᵀ B w with w = 1/T.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class AlignedMTL:
    """Nothing to set."""

    def combine(self, rows: Tensor, rng: torch.Generator) -> Tensor:
        wide = rows.double()
        values, vectors = torch.linalg.eigh(wide @ wide.T)
        real = values > len(rows) * torch.finfo(torch.float64).eps * values.max()
        values, vectors = values[real], vectors[:, real]
        if not len(values):
            return torch.zeros_like(rows[0])
        balance = values.min().sqrt() * (vectors / values.sqrt()) @ vectors.T
        return (balance.mean(1) @ wide).to(rows.dtype)
