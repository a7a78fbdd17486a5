"""Multinomial logistic regression in closed arithmetic: the simple model that everything learned
is compared with.

The same objective as scikit-learn's default, so that a user can check it there; here because
importing scikit-learn would cost `adapt` more time than its whole work on a small folder.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor


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
    found = minimise(z.cpu().numpy(), y.cpu().numpy(), classes, c, penalty)
    weight, bias = torch.from_numpy(found[:, :-1]).to(x.device), torch.from_numpy(found[:, -1])
    return weight @ basis.T, bias.to(x.device)


def minimise(z: np.ndarray, y: np.ndarray, classes: int, c: float, penalty: float) -> np.ndarray:
    """Weights and, in the last column, intercepts: [N, D + 1].

    By SciPy: the first step of torch's own L-BFGS imports torch's compiler, for over a second.
    """
    from scipy.optimize import minimize
    from scipy.special import log_softmax

    ones = np.concatenate([z, np.ones((len(z), 1))], 1)  # [M, D + 1]
    target = np.eye(classes)[y]
    penalised = np.ones(ones.shape[1])
    penalised[-1] = 0.0  # not the intercept

    def objective(flat: np.ndarray) -> tuple[float, np.ndarray]:
        weight = flat.reshape(classes, -1)
        logs = log_softmax(ones @ weight.T, axis=1)
        loss = -c * (logs * target).sum() + penalty * (weight**2 * penalised).sum()
        slope = c * (np.exp(logs) - target).T @ ones + 2 * penalty * weight * penalised
        return float(loss), slope.ravel()

    begin = np.zeros(classes * ones.shape[1])
    options = {"maxiter": 10_000, "maxfun": 20_000, "maxcor": 20, "ftol": 0.0, "gtol": 1e-9}
    found = minimize(objective, begin, jac=True, method="L-BFGS-B", options=options)
    return np.asarray(found.x).reshape(classes, -1)
