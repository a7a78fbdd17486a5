"""FAMO: B. Liu, Y. Feng, P. Stone, Q. Liu, "FAMO: Fast Adaptive
Multitask Optimization", NeurIPS 2023, algorithm 1.

Idea: tasks that improved least get more weight, without a gradient for each task.

    z = softmax(ξ),      L = c Σ_t z_t log L_t,  c = 1 / Σ_t (z_t / L_t)
    ξ ← ξ − β (Jᵀ δ + γ ξ),  δ_t = log L_t(k) − log L_t(k+1),  J the Jacobian of the softmax

Where we differ: the losses after a step are those of the next step's batch (the same ones when a
batch is all rows), so that no third pass over the network is needed; a plain gradient step on ξ in
the place of Adam.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import torch
from annotated_types import Ge, Gt
from torch import Tensor

from metacli.algorithms.multitask.balancing import Weighting
from metacli.types import Params, State


@dataclass(frozen=True, kw_only=True)
class FAMO(Weighting):
    """lr: of ξ (β in the paper). decay: γ. eps: added to the losses."""

    lr: Annotated[float, Gt(0)] = 0.025
    decay: Annotated[float, Ge(0)] = 0.001
    eps: float = 1e-8

    def init(self, tasks: int) -> tuple[Params, State]:
        return {}, {"logits": [0.0] * tasks, "before": None}

    def objective(
        self,
        losses: Tensor,
        norms: Tensor | None,
        params: Params,
        state: State,
        rng: torch.Generator,
    ) -> tuple[Tensor, State]:
        logs = (losses + self.eps).log()
        xi = torch.tensor(state["logits"], dtype=losses.dtype)
        if state["before"] is not None:
            xi = self.moved(xi, torch.tensor(state["before"], dtype=losses.dtype) - logs.detach())
        z = torch.softmax(xi, 0)
        c = 1 / (z / (losses.detach() + self.eps)).sum()
        memory = {"logits": xi.tolist(), "before": logs.detach().tolist()}
        return c * (z * logs).sum(), memory

    def moved(self, xi: Tensor, gain: Tensor) -> Tensor:
        """ξ - β (J_softmaxᵀ gain + γ ξ)."""
        z = torch.softmax(xi, 0)
        return xi - self.lr * (z * (gain - (z * gain).sum()) + self.decay * xi)
