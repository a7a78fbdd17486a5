"""Small dense problems on the Gramian JJᵀ [T, T] of the tasks' gradients, in float64."""

from __future__ import annotations

import torch
from torch import Tensor


def gramian(rows: Tensor) -> Tensor:
    """JJᵀ scaled to a mean diagonal of 1, so that tolerances mean something; zero stays zero."""
    wide = rows.double()
    gram = wide @ wide.T
    scale = gram.diagonal().mean()
    return gram / scale if scale > 0 else gram


def factor(rows: Tensor) -> Tensor:
    """R with RᵀR = the scaled Gramian, [T, T]."""
    values, vectors = torch.linalg.eigh(gramian(rows))
    result: Tensor = values.clamp(min=0).sqrt()[:, None] * vectors.T
    return result


def nonnegative(left: Tensor, right: Tensor) -> Tensor:
    """argmin over u >= 0 of ||left u - right||²."""
    from scipy.optimize import nnls

    solution, _ = nnls(left.cpu().numpy(), right.cpu().numpy(), maxiter=50 * left.shape[1])
    return torch.from_numpy(solution).to(left.device)
