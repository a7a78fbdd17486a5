"""Fixed weights: given by hand, the oldest way; no paper.

Idea: who trains knows which task matters more.

    L = (1/T) Σ_t w_t L_t

Where we differ: nothing. w = `weights`, one for each task in the order of the data, as they are
given: they are not scaled to any sum.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import torch
from annotated_types import Ge
from torch import Tensor

from metacli.algorithms.multitask.balancing import Weighting
from metacli.errors import RecipeError
from metacli.types import Params, State


@dataclass(frozen=True, kw_only=True)
class Fixed(Weighting):
    """weights: one for each task, in the order of the tasks."""

    weights: tuple[Annotated[float, Ge(0)], ...]

    def init(self, tasks: int) -> tuple[Params, State]:
        if len(self.weights) != tasks:
            raise RecipeError(
                f"weighting.weights has {len(self.weights)} numbers for {tasks} tasks",
                code="recipe.value",
            )
        return {}, {}

    def objective(
        self,
        losses: Tensor,
        norms: Tensor | None,
        params: Params,
        state: State,
        rng: torch.Generator,
    ) -> tuple[Tensor, State]:
        return (torch.tensor(self.weights, dtype=losses.dtype) * losses).mean(), state
