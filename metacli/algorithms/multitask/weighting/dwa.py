"""DWA, dynamic weight average: S. Liu, E. Johns, A. Davison, "End-to-End Multi-Task Learning with
Attention", CVPR 2019, equation 7.

Idea: weigh by how slowly a loss falls.

    r_t = L_t(k−1) / L_t(k−2),      w = T softmax(r / temperature),      L = (1/T) Σ_t w_t L_t

Where we differ: L_t(k) is the mean over the k-th window of `window` steps, in the paper over an
epoch. Weights are 1 for the first two windows.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import torch
from annotated_types import Ge, Gt
from torch import Tensor

from metacli.algorithms.multitask.balancing import Weighting
from metacli.types import Params, State


@dataclass(frozen=True, kw_only=True)
class DWA(Weighting):
    """temperature: large is more even. window: steps over which losses are averaged."""

    temperature: Annotated[float, Gt(0)] = 2.0
    window: Annotated[int, Ge(1)] = 10

    def init(self, tasks: int) -> tuple[Params, State]:
        return {}, {"past": [], "sums": [0.0] * tasks, "count": 0}

    def objective(
        self,
        losses: Tensor,
        norms: Tensor | None,
        params: Params,
        state: State,
        rng: torch.Generator,
    ) -> tuple[Tensor, State]:
        weights = self.weights(state["past"], losses)
        sums = [a + b for a, b in zip(state["sums"], losses.detach().tolist(), strict=True)]
        count, past = state["count"] + 1, state["past"]
        if count == self.window:
            past = [*past, [value / count for value in sums]][-2:]
            sums, count = [0.0] * len(sums), 0
        return (weights * losses).mean(), {"past": past, "sums": sums, "count": count}

    def weights(self, past: list[list[float]], losses: Tensor) -> Tensor:
        if len(past) < 2:
            return torch.ones_like(losses).detach()
        before, last = torch.tensor(past, dtype=losses.dtype)
        rate = last / before.clamp(min=1e-12)
        return len(losses) * torch.softmax(rate / self.temperature, 0)
