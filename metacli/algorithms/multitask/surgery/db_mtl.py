"""DB-MTL, dual balancing: B. Lin, W. Jiang, F. Ye, Y. Zhang, P. Chen, Y.-C. Chen, S. Liu, J. T.
Kwok, "Dual-Balancing for Multi-Task Learning", 2023, https://arxiv.org/abs/2308.12029, algorithm 1.

Idea: the tasks' losses are brought to one scale by their logarithms, and their gradients to one
length, the largest of them.

    ĝ_t ← β ĝ_t + (1 − β) ∇ log L_t,      direction = α Σ_t ĝ_t / ‖ĝ_t‖,  α = max_t ‖ĝ_t‖

Multiplying a task's loss by a constant changes nothing.

Where we differ: β is the same in every step, where the authors may let it fall; ĝ begins at the
first gradient, not at 0. The direction is the mean over the tasks, not their sum, as everywhere
here. The logarithms are those of `weighting.name=log`, which this surgery is to be used with.

β = `beta`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import torch
from annotated_types import Ge, Lt
from torch import Tensor

from metacli.algorithms.multitask.balancing import Surgery


@dataclass(frozen=True, kw_only=True)
class DBMTL(Surgery):
    """beta: of the moving average of each gradient."""

    beta: Annotated[float, Ge(0), Lt(1)] = 0.9

    weighting = "log"
    memory = True

    def remembered(self, rows: Tensor, before: Tensor) -> Tensor:
        first = (before == 0).all(1, keepdim=True)
        return torch.where(first, rows, self.beta * before + (1 - self.beta) * rows)

    def combine(self, rows: Tensor, rng: torch.Generator) -> Tensor:
        lengths = rows.norm(dim=1, keepdim=True)
        units = rows / lengths.where(lengths > 0, 1)
        result: Tensor = lengths.max() * units.mean(0)
        return result
