"""Meta-learned weights, the form of Auto-Lambda: S. Liu, S. James, A. J. Davison, E. Johns,
"Auto-Lambda: Disentangling Dynamic Task Relationships", TMLR 2022, equations 3-5.

Idea: the weights are outer parameters of min_w L_val(θ*(w)), θ*(w) = argmin Σ_i w_i L_i(θ), and
follow the gradient through one inner step: a task gets weight where its step lowers the loss on
validation rows.

    θ' = θ - α Σ_i w_i ∇L_i(θ)
    ∂L_val(θ') / ∂w_i = -α ∇L_i(θ) · ∇L_val(θ')

With hard sharing w is one weight for each task, summing to 1, and L_val the mean of all tasks. With
`auxiliary` sharing it is a matrix, a row for each task n with L_val that task's loss alone, which
follows its slopes s_ni by exponentiated gradients (mirror descent on the simplex; J. Kivinen, M.
Warmuth, "Exponentiated Gradient versus Gradient Descent", 1997), written with the own weight as 1:

    w_ni = exp(-η (1 - Σ_k s_ni(k) / Σ_k s_nn(k))),      at most 1,  k the steps so far

Where we differ: the paper estimates the gradient by finite differences, here it is exact, since θ'
is linear in w, and follows it with Adam. Steps of a vector are relative to the largest slope, those
of a matrix to what the task's own rows brought so far, so that their rates need no tuning. Sums
over steps count the first ones most, when slopes are large and no row is known by heart.

The authors validate on other batches of the training rows. So does a matrix: the inner step is on a
random half of them, L_val on the other half and the validation rows, and the other way round. The
slopes of a few validation rows alone are mostly noise, the same in every step, which gives weight
to tasks of no use. Heads are fitted to the rows of the inner step, which moves the trunk alone:
heads that know nothing of their task send gradients of random signs, and only a task's own rows can
move its head, which would make all others look small.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import torch
from annotated_types import Gt
from torch import Tensor

from metacli.algorithms.multitask.balancing import Weighting
from metacli.types import Params, State


@dataclass(frozen=True, kw_only=True)
class AutoLambda(Weighting):
    """inner_lr: α. lr: of a vector of weights. focus: η of a matrix, in which a task that brings
    nothing has the weight exp(-focus)."""

    inner_lr: Annotated[float, Gt(0)] = 0.1
    lr: Annotated[float, Gt(0)] = 0.1
    focus: Annotated[float, Gt(0)] = 10.0

    needs_validation = True

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

    def matrix(self, total: Tensor) -> Tensor:
        """The weights [N, T], a row for each network, from the sums of its slopes so far; its own
        weight is 1."""
        own = total.diagonal().abs().clamp(min=1e-12)[:, None]
        share = (-total / own).clamp(max=1)  # of what the own rows bring
        return torch.exp(self.focus * (share - 1)).fill_diagonal_(1.0)
