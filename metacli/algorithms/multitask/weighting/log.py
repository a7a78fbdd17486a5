"""Logarithms of the losses: mean_t log L_t.

B. Lin et al., "Dual-balancing for multi-task learning", 2023, section 3.1. The gradient is the mean
of ∇L_t / L_t: multiplying a task's loss by a constant changes nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from metacli.types import Params, State


@dataclass(frozen=True, kw_only=True)
class Log:
    """eps: added to each loss, so that one that reaches zero stays finite."""

    eps: float = 1e-8

    needs_norms: ClassVar[bool] = False

    def init(self, tasks: int) -> tuple[Params, State]:
        return {}, {}

    def objective(
        self,
        losses: Tensor,
        norms: Tensor | None,
        params: Params,
        state: State,
        rng: torch.Generator,
    ) -> tuple[Tensor, State]:
        return (losses + self.eps).log().mean(), state
