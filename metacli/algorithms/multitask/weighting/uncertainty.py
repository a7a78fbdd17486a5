"""Uncertainty weighting: A. Kendall, Y. Gal, R. Cipolla, "Multi-Task Learning Using Uncertainty to
Weigh Losses for Scene Geometry and Semantics", CVPR 2018, equation 7.

Idea: the weight of a task is the precision of its noise, which is learned with the network.

    L = (1/T) Σ_t ½ exp(−s_t) L_t + ½ s_t

with s_t = log σ_t² for stability, as in the paper's section 3.2. At the minimum over s_t, exp(s_t)
= L_t.

Where we differ: the paper writes exp(−s_t) L_t without ½ for a classification, a constant factor of
its loss.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from metacli.algorithms.multitask.balancing import Weighting
from metacli.types import Params, State


@dataclass(frozen=True, kw_only=True)
class Uncertainty(Weighting):
    """Nothing to set; `weighting.log_variance` [T] is trained with the network."""

    def init(self, tasks: int) -> tuple[Params, State]:
        return {"log_variance": torch.zeros(tasks)}, {}

    def objective(
        self,
        losses: Tensor,
        norms: Tensor | None,
        params: Params,
        state: State,
        rng: torch.Generator,
    ) -> tuple[Tensor, State]:
        s = params["log_variance"]
        return 0.5 * (torch.exp(-s) * losses + s).mean(), state
