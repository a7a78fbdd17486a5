"""LogME: K. You, Y. Liu, J. Wang, M. Long, "LogME: Practical Assessment of Pre-trained Models for
Transfer Learning", ICML 2021, https://arxiv.org/abs/2102.11005, equations 1 to 3 and algorithm
1.

Idea: how probable the labels are under a Bayesian linear model of a source's features, at the best
prior and noise: large where the features explain the labels without being bent to them.

    y_k = F w + ε,  w ~ N(0, I/α), ε ~ N(0, I/β)
    LogME = mean_k max_{α,β} log p(y_k | F, α, β) / n
    m = β (αI + βFᵀF)⁻¹ Fᵀ y,   γ = Σ_i β s_i / (α + β s_i)
    α ← γ / ‖m‖²,   β ← (n − γ) / ‖F m − y‖²

Where we differ: the fixed point is iterated until the evidence stands still instead of eleven
times, and the evidence is read off the marginal y ~ N(0, I/β + FFᵀ/α), which is the same number and
stays finite where the features fit the labels exactly. A class is a column of zeros and ones.
Where D > n the authors' code sums log(α + β s_i) over the n eigenvalues that it has and leaves out
the D − n that are 0, so that its evidence lacks −(D − n)/2 · log α; here it is whole, and scores of
sources with different D differ from theirs.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

ROUNDS = 1000
LARGEST = 1e10  # of β · variance: features that explain every label leave no noise


def logme(features: Tensor, targets: Tensor) -> float:
    """The score; higher is better.

    Args:
        features: F, [M, D].
        targets: labels [M], or numbers [M, outputs].
    """
    f = features.detach().double()
    y = targets.double() if targets.is_floating_point() else one_hot(targets)
    y = y if y.dim() == 2 else y[:, None]
    u, root, _ = torch.linalg.svd(f, full_matrices=False)
    s = root.square()  # [min(M, D)]
    inside = (u.T @ y).square()  # [min(M, D), K]: what the features reach of each target
    outside = (y.square().sum(0) - inside.sum(0)).clamp(min=0)  # [K]
    found = [evidence(s, inside[:, k], float(outside[k]), len(f)) for k in range(y.shape[1])]
    return sum(found) / len(found) / len(f)


def one_hot(labels: Tensor) -> Tensor:
    return torch.eye(int(labels.max()) + 1, dtype=torch.float64, device=labels.device)[labels]


def evidence(s: Tensor, inside: Tensor, outside: float, n: int) -> float:
    """max log p(y | F, α, β) from the eigenvalues s of FFᵀ and y's squared projections."""
    alpha, beta, best = 1.0, 1.0, -math.inf
    for _ in range(ROUNDS):
        variance = 1 / beta + s / alpha
        log_p = -0.5 * float(
            (2 * math.pi * variance).log().sum()
            + (n - len(s)) * math.log(2 * math.pi / beta)
            + (inside / variance).sum()
            + beta * outside
        )
        if log_p - best < 1e-9 * n:
            return max(log_p, best)
        best = log_p
        share = beta * s / (alpha + beta * s)
        gamma = float(share.sum())
        m = float((share.square() * inside / s.clamp(min=1e-300)).sum())
        residual = float(((1 - share).square() * inside).sum()) + outside
        alpha = gamma / m if m > 0 else alpha
        beta = min((n - gamma) / max(residual, 1e-300), LARGEST * n / float(inside.sum() + outside))
    return best
