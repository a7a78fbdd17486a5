"""GradNorm: Z. Chen, V. Badrinarayanan, C.-Y. Lee, A. Rabinovich, "GradNorm: Gradient Normalization
for Adaptive Loss Balancing in Deep Multitask Networks", ICML 2018, algorithm 1.

Idea: weights such that all tasks train at similar rates.

    G_t = w_t ‖∇_W L_t‖,      r_t = (L_t / L_t(0)) relative to its mean
    w ← w − η ∇_w Σ_t |G_t − mean(G) r_t^α|,      the target mean(G) r_t^α a constant

W is the last shared layer; then w is scaled to sum to T. The gradient is written out: sign(G_t −
target_t) ‖∇_W L_t‖.

Where we differ: a plain gradient step on w, relative to the mean norm so that η needs no tuning,
and w ≥ 0.01.
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
class GradNorm(Weighting):
    """alpha: how strongly slow tasks are pulled along. lr: of the weights."""

    alpha: float = 1.5
    lr: Annotated[float, Gt(0)] = 0.025

    needs_norms = True

    def init(self, tasks: int) -> tuple[Params, State]:
        return {}, {"weights": [1.0] * tasks, "first": None}

    def objective(
        self,
        losses: Tensor,
        norms: Tensor | None,
        params: Params,
        state: State,
        rng: torch.Generator,
    ) -> tuple[Tensor, State]:
        assert norms is not None
        now = losses.detach()
        first = state["first"] or now.tolist()
        w = torch.tensor(state["weights"], dtype=losses.dtype)
        rate = now / torch.tensor(first, dtype=losses.dtype).clamp(min=1e-12)
        target = (w * norms).mean() * (rate / rate.mean()) ** self.alpha
        step = torch.sign(w * norms - target) * norms / norms.mean().clamp(min=1e-12)
        new = (w - self.lr * step).clamp(min=0.01)
        new = new * len(new) / new.sum()
        return (w * losses).mean(), {"weights": new.tolist(), "first": first}
