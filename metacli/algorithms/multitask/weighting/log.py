"""Logarithms of the losses: B. Lin, W. Jiang, F. Ye, Y. Zhang, P. Chen, Y.-C. Chen, S. Liu, J. T.
Kwok, "Dual-Balancing for Multi-Task Learning", 2023, section 3.1.

Idea: a task whose loss is measured in larger numbers should not get more of the gradient.

    L = (1/T) Σ_t log L_t,      ∇L = (1/T) Σ_t ∇L_t / L_t

Multiplying a task's loss by a constant changes nothing.

Where we differ: only this half of the paper; its other half scales the gradients to one length
(`surgery.name=db-mtl`).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from metacli.algorithms.multitask.balancing import Weighting
from metacli.types import Params, State


@dataclass(frozen=True, kw_only=True)
class Log(Weighting):
    """eps: added to each loss, so that one that reaches zero stays finite."""

    eps: float = 1e-8

    def terms(self, losses: Tensor) -> Tensor:
        return (losses + self.eps).log()

    def objective(
        self,
        losses: Tensor,
        norms: Tensor | None,
        params: Params,
        state: State,
        rng: torch.Generator,
    ) -> tuple[Tensor, State]:
        return self.terms(losses).mean(), state
