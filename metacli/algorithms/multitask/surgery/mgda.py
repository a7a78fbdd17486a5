"""MGDA: J.-A. Désidéri, "Multiple-gradient descent algorithm (MGDA) for multiobjective
optimization", C. R. Acad. Sci. 2012; O. Sener, V. Koltun, "Multi-Task Learning as Multi-Objective
Optimization", NeurIPS 2018.

Idea: the shortest vector in the convex hull of the gradients increases no task's loss to first
order.

    w = argmin over the simplex of ‖Jᵀw‖²,      direction = Jᵀw

Where we differ: solved exactly, by the non-negative least squares min ‖Jᵀu‖² + (1 − Σu)², whose
solution is the same up to scale; in the papers by Frank and Wolfe's algorithm.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from metacli.algorithms.multitask.balancing import Surgery
from metacli.algorithms.multitask.surgery.gram import factor, nonnegative


@dataclass(frozen=True, kw_only=True)
class MGDA(Surgery):
    """Nothing to set."""

    def combine(self, rows: Tensor, rng: torch.Generator) -> Tensor:
        return self.weights(rows).to(rows.dtype) @ rows

    def weights(self, rows: Tensor) -> Tensor:
        """On the simplex, [T]."""
        half = factor(rows)  # RᵀR = JJᵀ up to scale
        left = torch.cat([half, torch.ones_like(half[:1])])
        right = torch.cat([torch.zeros_like(half[:, 0]), torch.ones_like(half[0, :1])])
        u = nonnegative(left, right)
        return u / u.sum()
