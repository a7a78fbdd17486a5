"""RLW, random loss weighting: B. Lin, F. Ye, Y. Zhang, I. W. Tsang, "Reasonable Effectiveness of
Random Weighting: A Litmus Test for Multi-Task Learning", TMLR 2022, section 3.

Idea: weights drawn again in every step do as well as many that are computed with care.

    w = T softmax(z),  z ~ N(0, I),      L = (1/T) Σ_t w_t L_t

The expected direction is that of equal weights.

Where we differ: nothing.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from metacli.algorithms.multitask.balancing import Weighting
from metacli.types import Params, State


@dataclass(frozen=True, kw_only=True)
class RLW(Weighting):
    """Nothing to set."""

    def objective(
        self,
        losses: Tensor,
        norms: Tensor | None,
        params: Params,
        state: State,
        rng: torch.Generator,
    ) -> tuple[Tensor, State]:
        z = torch.randn(len(losses), generator=rng, dtype=losses.dtype)
        return (torch.softmax(z, 0) * losses).sum(), state
