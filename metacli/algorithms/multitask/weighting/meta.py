"""Weights that are learned on validation rows: the form of Auto-Lambda.

S. Liu et al., "Auto-Lambda: disentangling dynamic task relationships", TMLR 2022, equations 3-5:
the weights are outer parameters of min_w L_val(θ*(w)), θ*(w) = argmin Σ_i w_i L_i(θ), and follow
the gradient through one inner step, θ' = θ - α Σ_i w_i ∇L_i(θ):

    ∂L_val(θ') / ∂w_i = -α ∇L_i(θ) · ∇L_val(θ')

With hard sharing w is one weight for each task, and L_val the mean of all tasks; with `auxiliary`
sharing it is a matrix, a row of weights for each task, and L_val that task's loss alone: negative
transfer ends where a weight reaches 0. Differences: the paper estimates the gradient by finite
differences, here it is exact, since θ' is linear in w; its steps are relative to the largest entry
of a row, so that the rate needs no tuning; rows are kept at a sum of 1 and, as in the paper, at
w >= 0.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

import torch
from annotated_types import Gt
from torch import Tensor

from metacli.types import Params, State


@dataclass(frozen=True, kw_only=True)
class Meta:
    """inner_lr: α. lr: of the weights, in units of an even weight."""

    inner_lr: Annotated[float, Gt(0)] = 0.1
    lr: Annotated[float, Gt(0)] = 0.1

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
        """Σ w L over the tasks of each row of weights."""
        return (params["weights"].detach() * losses).sum(), state

    def moved(self, weights: Tensor, slopes: Tensor) -> Tensor:
        """The weights [..., T] after a step against ∂L_val / ∂w [..., T]."""
        tasks = weights.shape[-1]
        relative = slopes / slopes.abs().amax(-1, keepdim=True).clamp(min=1e-12)
        found = (weights - self.lr / tasks * relative).clamp(min=0)
        total = found.sum(-1, keepdim=True)
        return torch.where(total > 0, found / total.clamp(min=1e-12), 1 / tasks)
