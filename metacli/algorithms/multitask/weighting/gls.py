"""GLS, geometric loss strategy: S. Chennupati, G. Sistu, S. Yogamani, S. Rawashdeh, "MultiNet++:
Multi-Stream Feature Aggregation and Geometric Loss Strategy for Multi-Task Learning", CVPR
workshops 2019, https://arxiv.org/abs/1904.08492, equation 3.

Idea: the geometric mean of the losses, in which no task is lost beside one of larger numbers.

    L = (Π_t L_t)^(1/T),      ∂L/∂L_t = L / (T L_t)

Multiplying a task's loss by a constant changes the length of the direction alone.

Where we differ: L is computed through logarithms, with `eps` added to each loss, so that one that
reaches zero stays finite. The paper's focused variant is not here.
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
class GLS(Weighting):
    """eps: added to each loss."""

    eps: Annotated[float, Gt(0)] = 1e-8

    def objective(
        self,
        losses: Tensor,
        norms: Tensor | None,
        params: Params,
        state: State,
        rng: torch.Generator,
    ) -> tuple[Tensor, State]:
        return (losses + self.eps).log().mean().exp(), state
