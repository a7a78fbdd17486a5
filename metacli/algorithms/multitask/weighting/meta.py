"""Meta-learned weights, the form of Auto-Lambda: S. Liu, S. James, A. J. Davison, E. Johns,
"Auto-Lambda: Disentangling Dynamic Task Relationships", TMLR 2022, equations 3-5.

Idea: the weights are outer parameters of min_w L_val(θ*(w)), θ*(w) = argmin Σ_i w_i L_i(θ), and
follow the gradient through one inner step: a task gets weight where its step lowers the loss on
validation rows.

    θ' = θ - α Σ_i w_i ∇L_i(θ)
    ∂L_val(θ') / ∂w_i = -α ∇L_i(θ) · ∇L_val(θ')

With hard sharing w is one weight for each task, summing to 1, and L_val the mean of all tasks. With
`auxiliary` sharing it is a matrix, a row for each task with L_val that task's loss alone: its own
weight is 1, the others begin at 0 and stay in 0..1.

Where we differ: the paper estimates the gradient by finite differences, here it is exact, since θ'
is linear in w; steps are relative to the largest slope of the row, or of a matrix to the task's
own, so that the rate needs no tuning; a matrix has a price on every weight (an L1 penalty in units
of the own slope), without which the noise of few validation rows gives weight to tasks of no use.

The slopes of a matrix are taken with heads that are fitted to the trunk as it is: heads that know
nothing of their task send gradients of random signs.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

import torch
from annotated_types import Ge, Gt
from torch import Tensor

from metacli.types import Params, State


@dataclass(frozen=True, kw_only=True)
class Meta:
    """inner_lr: α. lr: of the weights. price: what a weight has to bring, as a share of what the
    task's own rows bring; of a matrix alone."""

    inner_lr: Annotated[float, Gt(0)] = 0.1
    lr: Annotated[float, Gt(0)] = 0.1
    price: Annotated[float, Ge(0)] = 0.2

    needs_norms: ClassVar[bool] = False
    needs_validation: ClassVar[bool] = True

    def init(self, tasks: int) -> tuple[Params, State]:
        return {"weights": torch.full((tasks,), 1 / tasks)}, {}

    def objective(
        self,
        losses: Tensor,
        norms: Tensor | None,
        params: Params,
        state: State,
        rng: torch.Generator,
    ) -> tuple[Tensor, State]:
        """Σ w L."""
        return (params["weights"].detach() * losses).sum(), state

    def moved(self, weights: Tensor, slopes: Tensor) -> Tensor:
        """The weights [T] after a step against ∂L_val / ∂w; on the simplex."""
        tasks = len(weights)
        relative = slopes / slopes.abs().max().clamp(min=1e-12)
        found = (weights - self.lr / tasks * relative).clamp(min=0)
        total = found.sum()
        return found / total if total > 0 else torch.full_like(weights, 1 / tasks)

    def moved_matrix(self, weights: Tensor, slopes: Tensor) -> Tensor:
        """The same for [N, T], a row for each network; its own weight stays 1."""
        own = slopes.diagonal().abs().clamp(min=1e-12)[:, None]
        found = weights - self.lr * ((slopes / own).clamp(-1, 1) + self.price)
        return found.clamp(0, 1).fill_diagonal_(1.0)
