"""IMTL-G: the direction with equal projections on all tasks' gradients.

L. Liu et al., "Towards impartial multi-task learning", ICLR 2021, eq. 4: weights w, Σw = 1, with
(Jᵀw)·u_t the same for all unit gradients u_t. Solved as in TorchJD: w ∝ (JJᵀ)⁺ n, n_t = ||g_t||.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from metacli.algorithms.multitask.surgery.gram import gramian


@dataclass(frozen=True, kw_only=True)
class IMTLG:
    """Nothing to set."""

    def combine(self, rows: Tensor, rng: torch.Generator) -> Tensor:
        gram = gramian(rows)
        v = torch.linalg.pinv(gram, hermitian=True) @ gram.diagonal().sqrt()
        total = v.sum()
        weights = v / total if total.abs() > 1e-12 else torch.zeros_like(v)
        return weights.to(rows.dtype) @ rows
