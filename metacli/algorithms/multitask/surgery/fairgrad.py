"""FairGrad: H. Ban, K. Ji, "Fair Resource Allocation in Multi-Task Learning", ICML 2024,
https://arxiv.org/abs/2402.15638, algorithm 1, equation 6.

Idea: the loss that a step takes off each task is a resource, shared out α-fairly.

    max over d in a ball of Σ_t (g_t·d)^(1−α) / (1−α):      d = Jᵀw  with  (JJᵀ w)^α = 1/w,  w > 0

α = 1 is the bargain of Nash-MTL, α → ∞ favours the task that gains least.

Where we differ: the authors minimise ‖JJᵀw − w^(−1/α)‖² by a least-squares solver; JJᵀw − w^(−1/α)
is the gradient of the convex ½ wᵀJJᵀw − Σ w^(1−1/α) / (1−1/α), which damped Newton steps minimise
to machine precision. Where gradients oppose each other so that no direction helps all, `FLOOR` of
each gradient's own square bounds w. Gradients are scaled to a mean square of 1 first, and the
direction is that of the unscaled ones.

α = `alpha`, the authors' 2.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import torch
from annotated_types import Gt
from torch import Tensor

from metacli.algorithms.multitask.balancing import Surgery

FLOOR = 1e-10


@dataclass(frozen=True, kw_only=True)
class FairGrad(Surgery):
    """alpha: of the fairness; 1 is proportional."""

    alpha: Annotated[float, Gt(0)] = 2.0

    def combine(self, rows: Tensor, rng: torch.Generator) -> Tensor:
        return self.weights(rows).to(rows.dtype) @ rows

    def weights(self, rows: Tensor) -> Tensor:
        """w of (JJᵀ w)^α = 1/w, [T]; 0 for a gradient of 0."""
        wide = rows.double()
        squares = wide.square().sum(1)
        there = squares > 0
        weights = torch.zeros_like(squares)
        if not there.any():
            return weights
        scale = squares[there].mean()
        gram = wide[there] @ wide[there].T / scale
        gram = gram + FLOOR * torch.diag(gram.diagonal())
        # With w = s v the equation for the scaled Gramian is that of the plain one.
        power = -self.alpha / (1 + self.alpha)
        weights[there] = fair(gram, self.alpha) * scale**power
        return weights


def fair(gram: Tensor, alpha: float, steps: int = 500) -> Tensor:
    """w > 0 with G w = w^(−1/α), by Newton's method on u = log w: w_t (Gw)_t^α = 1, that is log w +
    α log(Gw) = 0 where Gw > 0; in between the convex function is descended."""
    beta = 1 / alpha
    w = gram.diagonal() ** (-1 / (1 + beta))

    def value(v: Tensor) -> Tensor:
        quadratic = 0.5 * v @ gram @ v
        barrier = v.log() if alpha == 1 else v ** (1 - beta) / (1 - beta)
        return quadratic - barrier.sum()

    now = value(w)
    for _ in range(steps):
        slope = gram @ w - w**-beta
        curve = gram + torch.diag(beta * w ** (-beta - 1))
        step = torch.linalg.solve(curve, slope)
        if slope @ step < 1e-26 * (1 + now.abs()):
            break
        size = torch.ones((), dtype=w.dtype)
        for _ in range(60):
            after = w - size * step
            if (after > 0).all() and (found := value(after)) <= now - 1e-4 * size * (slope @ step):
                w, now = after, found
                break
            size = size / 2
        else:
            break
    return w
