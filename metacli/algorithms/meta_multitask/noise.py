"""The predictive variance of the learners of sets that adapt by gradient steps: a function of the
role of a task and of how many labels there are.

    log σ²_t = ν_{r_t} + κ_1 log(1 + n_t) + κ_2 log(1 + Σ_{s seen by t} n_s)

n_t is the number of labels of task t. ν and κ are fitted to the errors of the queries as they are.

Shape letters: B sets, T tasks, M support points, R roles.
"""

from __future__ import annotations

import torch
from torch import Tensor

from metacli.algorithms.meta_multitask.class_sets import NOISE
from metacli.types import Batch, Params

SLOPES = f"{NOISE}.counts"


def noise_start(roles: int) -> Params:
    """σ² = 1 for every task."""
    return {NOISE: torch.zeros(max(roles, 1)), SLOPES: torch.zeros(2)}


def variance_of(params: Params, support: Batch, rows: Tensor, sees: Tensor) -> Tensor:
    """σ² [B, T]; `rows` [B, T] is where each task finds its ν."""
    y = support.y
    own = y.new_full(y.shape[:2], y.shape[2]) if support.mask is None else support.mask.sum(-1)
    own = own.to(y.dtype)
    seen = (sees.to(y.dtype) @ own[..., None])[..., 0]
    slopes = params[SLOPES]
    return (params[NOISE][rows] + slopes[0] * own.log1p() + slopes[1] * seen.log1p()).exp()
