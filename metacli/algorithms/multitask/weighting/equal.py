"""Equal weights: the mean of the tasks' losses; D. Xin, B. Ghorbani, J. Gilmer, A. Garg, O. Firat,
"Do Current Multi-Task Optimization Methods in Deep Learning Even Help?", NeurIPS 2022, which finds
it as good as the others once it is tuned as well.

Idea: no task matters more than another.

    L = (1/T) Σ_t L_t

Where we differ: nothing. It is what every other weighting has to beat.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from metacli.algorithms.multitask.balancing import Weighting
from metacli.types import Params, State


@dataclass(frozen=True, kw_only=True)
class Equal(Weighting):
    """Nothing to set."""

    def objective(
        self,
        losses: Tensor,
        norms: Tensor | None,
        params: Params,
        state: State,
        rng: torch.Generator,
    ) -> tuple[Tensor, State]:
        return losses.mean(), state
