"""IMTL-G: L. Liu, Y. Li, Z. Kuang, J.-H. Xue, Y. Chen, W. Yang, Q. Liao, W. Zhang, "Towards
Impartial Multi-task Learning", ICLR 2021, equation 4.

Idea: the direction has equal projections on all tasks' gradients.

    w with Σ_t w_t = 1 and (Jᵀw)·u_t the same for all unit gradients u_t

Where we differ: solved as in TorchJD, w ∝ (JJᵀ)⁺ n with n_t = ‖g_t‖; without the paper's IMTL-L,
which scales the losses.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from metacli.algorithms.multitask.balancing import Surgery
from metacli.algorithms.multitask.surgery.gram import gramian


@dataclass(frozen=True, kw_only=True)
class IMTLG(Surgery):
    """Nothing to set."""

    def combine(self, rows: Tensor, rng: torch.Generator) -> Tensor:
        gram = gramian(rows)
        v = torch.linalg.pinv(gram, hermitian=True) @ gram.diagonal().sqrt()
        total = v.sum()
        weights = v / total if total.abs() > 1e-12 else torch.zeros_like(v)
        return weights.to(rows.dtype) @ rows
