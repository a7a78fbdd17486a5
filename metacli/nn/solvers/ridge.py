"""Ridge regression in closed form, differentiable and under `torch.vmap`."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from metacli.nn.losses import membership
from metacli.nn.problem import Problem
from metacli.types import Batch

Solve = Literal["auto", "features", "examples"]
"""The system that is solved: one row per feature, one per example (Woodbury's identity), or the
smaller of the two."""


def ridge(
    features: Tensor,
    targets: Tensor,
    weights: Tensor,
    penalty: Tensor | float,
    solve: Solve = "auto",
) -> tuple[Tensor, Tensor]:
    """Weight [N, D] and bias [N] that minimise Σ_m weights_m ‖W z_m + b − y_m‖² +
    penalty (‖W‖² + ‖b‖²).

    Args:
        features: z, [M, D].
        targets: y, [M, N].
        weights: [M]; examples of weight zero are as if they were not there.
    """
    root = weights.sqrt()[:, None]
    Z = root * F.pad(features, (0, 1), value=1.0)  # [M, D + 1]
    Y = root * targets
    rows, columns = Z.shape
    if solve == "examples" or (solve == "auto" and rows < columns):
        eye = torch.eye(rows, dtype=Z.dtype, device=Z.device)
        solution = Z.T @ torch.linalg.solve(Z @ Z.T + penalty * eye, Y)
    else:
        eye = torch.eye(columns, dtype=Z.dtype, device=Z.device)
        solution = torch.linalg.solve(Z.T @ Z + penalty * eye, Z.T @ Y)
    return solution[:-1].T.contiguous(), solution[-1]


def regression_of(
    problem: Problem, support: Batch, way: int, dtype: torch.dtype
) -> tuple[Tensor, Tensor]:
    """What a ridge regression on a support fits: targets [M, N], one-hot for classes, and the
    weight [M] of each example. Every class counts the same, what is masked out nothing."""
    if problem.kind == "regression":
        mask = support.mask
        present = torch.ones_like(support.y[:, 0]) if mask is None else mask.to(support.y.dtype)
        return support.y, present / present.sum()
    member = membership(support.y, way, support.mask, dtype)
    counts = member.sum(0)  # [N]
    return member, (member / counts.clamp(min=1)).sum(1) / (counts > 0).sum()
