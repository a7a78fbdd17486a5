"""STCH, smooth Tchebycheff scalarisation: X. Lin, X. Zhang, Z. Yang, F. Liu, Z. Wang, Q. Zhang,
"Smooth Tchebycheff Scalarization for Multi-Objective Optimization", ICML 2024,
https://arxiv.org/abs/2402.19078, equation 8.

Idea: minimise the largest of the tasks' losses, smoothly.

    L = μ log Σ_t exp(λ f_t / μ),      ∂L/∂f_t = λ softmax(λ f / μ)_t

μ → 0 is the largest loss alone (Tchebycheff), μ → ∞ equal weights.

Where we differ: as in the authors' code for deep networks f_t = log(L_t / L̄_t), so that scales of
losses do not matter, with L̄_t the task's mean loss over the first `window` steps, in which weights
are equal; theirs is over the first epochs. λ is the same for all tasks and the ideal point is 0.

μ = `mu`.
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
class STCH(Weighting):
    """mu: large is more even. window: steps of equal weights. eps: added to the losses."""

    mu: Annotated[float, Gt(0)] = 1.0
    window: Annotated[int, Ge(1)] = 10
    eps: Annotated[float, Gt(0)] = 1e-8

    def init(self, tasks: int) -> tuple[Params, State]:
        return {}, {"sums": [0.0] * tasks, "count": 0}

    def objective(
        self,
        losses: Tensor,
        norms: Tensor | None,
        params: Params,
        state: State,
        rng: torch.Generator,
    ) -> tuple[Tensor, State]:
        sums, count = state["sums"], state["count"]
        logs = (losses + self.eps).log()
        if count < self.window:
            now = losses.detach().tolist()
            added = [a + b for a, b in zip(sums, now, strict=True)]
            return logs.mean(), {"sums": added, "count": count + 1}
        mean = torch.tensor(sums, dtype=losses.dtype, device=losses.device) / count
        relative = logs - (mean + self.eps).log()
        return self.mu * (relative / self.mu).logsumexp(0), state
