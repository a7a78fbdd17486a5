"""Aligned-MTL: D. Senushkin, N. Patakin, A. Kuznetsov, A. Konushin, "Independent Component
Alignment for Multi-Task Learning", CVPR 2023, algorithm 1.

Idea: replace the gradients by the nearest ones that are orthogonal and equally long.

    JJᵀ = V Λ Vᵀ,      B = √λ_min V Λ^(−1/2) Vᵀ,      direction = Jᵀ B w,  w_t = 1/T

over the non-zero eigenvalues.

Where we differ: equal w only.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from metacli.algorithms.multitask.balancing import Surgery


@dataclass(frozen=True, kw_only=True)
class AlignedMTL(Surgery):
    """Nothing to set."""

    def combine(self, rows: Tensor, rng: torch.Generator) -> Tensor:
        wide = rows.double()
        values, vectors = torch.linalg.eigh(wide @ wide.T)
        real = values > len(rows) * torch.finfo(torch.float64).eps * values.max()
        values, vectors = values[real], vectors[:, real]
        if not len(values):
            return torch.zeros_like(rows[0])
        balance = values.min().sqrt() * (vectors / values.sqrt()) @ vectors.T
        result: Tensor = (balance.mean(1) @ wide).to(rows.dtype)
        return result
