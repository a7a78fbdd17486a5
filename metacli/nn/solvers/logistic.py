"""Multinomial logistic regression in closed arithmetic: the simple model that everything learned
is compared with.

The same objective as scikit-learn's default, so that a user can check it there; here because
importing scikit-learn would cost `adapt` more time than its whole work on a small folder.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

NEWTON = 600  # numbers to find, up to which a system of equations is the faster way


def fit_logistic(x: Tensor, y: Tensor, classes: int, c: float = 1.0) -> tuple[Tensor, Tensor]:
    """Weights [N, D] and intercepts [N] minimising C Σ cross-entropy + ½ ‖W‖², in float64.

    For two classes scikit-learn penalises the one vector w₁ − w₀, which is ‖W‖² here.

    Args:
        x: features [M, D].
        y: labels [M], each of 0..N-1 at least once.
    """
    # In an orthonormal basis of the examples' span, where the optimum lies: D may be far larger
    # than M, and the penalty keeps its form.
    basis, upper = torch.linalg.qr(x.to(torch.float64).T)
    z = upper.T  # [M, min(M, D)]
    penalty = 1.0 if classes == 2 else 0.5
    minimise = by_newton if classes * (z.shape[1] + 1) <= NEWTON else by_lbfgs
    found = minimise(z.cpu().numpy(), y.cpu().numpy(), classes, c, penalty)
    weight, bias = torch.from_numpy(found[:, :-1]).to(x.device), torch.from_numpy(found[:, -1])
    return weight @ basis.T, bias.to(x.device)


def by_newton(z: np.ndarray, y: np.ndarray, classes: int, c: float, penalty: float) -> np.ndarray:
    """Weights and, in the last column, intercepts: [N, D + 1].

    Newton's steps, halved until the loss falls (S. Boyd, L. Vandenberghe, "Convex Optimization",
    2004, section 9.5): about ten where L-BFGS needs hundreds of raw pixels.
    """
    loss_at, inputs, penalised = objective_of(z, y, classes, c, penalty)
    flat = np.zeros(classes * inputs.shape[1])
    # All intercepts may move together without effect: the gradient has no part there, and this
    # keeps the matrix regular without moving the optimum.
    flat_direction = np.kron(np.ones((classes, classes)), np.diag(1.0 - penalised))
    curvature_of_penalty = 2 * penalty * np.diag(np.tile(penalised, classes)) + flat_direction
    loss, slope, share = loss_at(flat)
    for _ in range(100):
        spread = share[:, :, None] * (np.eye(classes) - share[:, None, :])  # [M, N, N]
        curvature = c * np.einsum("mij,mk,ml->ikjl", spread, inputs, inputs, optimize=True)
        step = np.linalg.solve(curvature.reshape(len(flat), -1) + curvature_of_penalty, slope)
        decrease, size = float(slope @ step), 1.0
        if decrease <= 1e-16 * max(1.0, loss):
            break
        while (found := loss_at(flat - size * step))[0] > loss - 0.25 * size * decrease:
            size /= 2
            if size < 1e-8:  # at the last digit of the loss
                return flat.reshape(classes, -1)
        flat, (loss, slope, share) = flat - size * step, found
    return flat.reshape(classes, -1)


def by_lbfgs(z: np.ndarray, y: np.ndarray, classes: int, c: float, penalty: float) -> np.ndarray:
    """The same where the matrix of second derivatives would be large.

    By SciPy: the first step of torch's own L-BFGS imports torch's compiler, for over a second.
    """
    from scipy.optimize import minimize

    loss_at, inputs, _ = objective_of(z, y, classes, c, penalty)
    begin = np.zeros(classes * inputs.shape[1])
    options = {"maxiter": 10_000, "maxfun": 20_000, "maxcor": 20, "ftol": 0.0, "gtol": 1e-9}
    found = minimize(
        lambda flat: loss_at(flat)[:2], begin, jac=True, method="L-BFGS-B", options=options
    )
    return np.asarray(found.x).reshape(classes, -1)


LossAt = Callable[[np.ndarray], tuple[float, np.ndarray, np.ndarray]]


def objective_of(
    z: np.ndarray, y: np.ndarray, classes: int, c: float, penalty: float
) -> tuple[LossAt, np.ndarray, np.ndarray]:
    """The loss, its gradient and the probabilities [M, N] at flat parameters [N (D + 1)]; the
    inputs with a column of ones; and which columns are penalised, [D + 1]."""
    inputs = np.concatenate([z, np.ones((len(z), 1))], 1)  # [M, D + 1]
    target = np.eye(classes)[y]
    penalised = np.ones(inputs.shape[1])
    penalised[-1] = 0.0  # not the intercept

    def loss_at(flat: np.ndarray) -> tuple[float, np.ndarray, np.ndarray]:
        weight = flat.reshape(classes, -1)
        scores = inputs @ weight.T
        scores -= scores.max(1, keepdims=True)
        logs = scores - np.log(np.exp(scores).sum(1, keepdims=True))
        share = np.exp(logs)
        loss = -c * (logs * target).sum() + penalty * (weight**2 * penalised).sum()
        slope = c * (share - target).T @ inputs + 2 * penalty * weight * penalised
        return float(loss), slope.ravel(), share

    return loss_at, inputs, penalised
