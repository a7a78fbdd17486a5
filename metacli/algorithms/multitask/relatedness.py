"""How related tasks are, from the gradients that they send into one trunk.

* `cosine`: cos(∇L_i, ∇L_j) on the shared parameters. Noise in the rows makes it too small, more so
  for noisy tasks; C. Spearman's correction (1904) divides by the square root of each task's
  reliability, the cosine of its gradients on two halves of its rows stepped up to all of them,
  2r / (1 + r): 1 says that two tasks are the same but for noise.
* `lookahead` (C. Fifty et al., "Efficiently identifying task groupings for multi-task learning",
  NeurIPS 2021, equation 1): Z_ij = 1 - L_j(θ - step on task i) / L_j(θ).
* `fisher` (A. Achille et al., "Task2Vec", ICCV 2019): the cosine of the diagonals of the Fisher
  information of the trunk, blind to signs and labels of one direction.

Differences: before a measure is taken the heads are fitted to the trunk as it is (`fit_heads`), as
Task2Vec does: heads that know nothing of their task send gradients of random signs into the trunk
(on generated families: rank correlation with the truth 0 without, 1 with). Steps of `lookahead` all
have the same length.

Letters: T tasks, M rows, D columns, F features, P shared parameters.
"""

from __future__ import annotations

import torch
from torch import Tensor

from metacli.algorithms.multitask.method import jacobian
from metacli.nn.multi_task import TaskProblem
from metacli.nn.sharing.scheme import trunk
from metacli.trees import pick, unflatten
from metacli.types import Batch, Params

PENALTY = 5.0  # of the heads, in rows; features are of order 1
NEWTON = 6
STEP = 0.1  # of the length of the trunk's parameters


def whole_mask(batch: Batch) -> Tensor:
    """[T, M]: which rows are there."""
    return torch.ones_like(batch.y, dtype=torch.bool) if batch.mask is None else batch.mask


def halves(batch: Batch, rng: torch.Generator) -> tuple[Batch, Batch]:
    """A random half of each task's rows, and the other one."""
    mask = whole_mask(batch)
    order = torch.rand(mask.shape, generator=rng).masked_fill(~mask, 2.0).argsort(1).argsort(1)
    first = mask & (order < mask.sum(1, keepdim=True) // 2)
    return Batch(batch.x, batch.y, first), Batch(batch.x, batch.y, mask & ~first)


def fit_heads(problem: TaskProblem, params: Params, batch: Batch) -> Params:
    """θ with the ridge or logistic regressions [T, F] on the features of the trunk as it is."""
    seen = problem.standardised(params, batch)
    mask = whole_mask(batch).to(seen.y.dtype)
    f = trunk(params, seen.x)
    f = torch.cat([f, torch.ones_like(f[..., :1])], -1).expand(*mask.shape, -1)  # [T, M, F+1]
    ridge = PENALTY * torch.eye(f.shape[-1], dtype=f.dtype)
    binary = problem.is_binary[:, None]
    w = torch.zeros(len(mask), f.shape[-1], dtype=f.dtype)
    for _ in range(NEWTON if bool(binary.any()) else 1):
        out = (f @ w[..., None]).squeeze(-1)
        p = torch.sigmoid(out)
        curve = torch.where(binary, (p * (1 - p)).clamp(min=1e-4), 1.0) * mask
        slope = torch.where(binary, p, out) - seen.y
        left = f.mT @ (f * curve[..., None]) + ridge
        right = (f.mT @ (slope * mask)[..., None]).squeeze(-1) + PENALTY * w
        w = w - torch.linalg.solve(left, right)
    return {**params, "heads.weight": w[:, :-1].contiguous(), "heads.bias": w[:, -1].contiguous()}


def units(problem: TaskProblem, params: Params, batch: Batch) -> Tensor:
    """Gradients of length 1 on the shared parameters, [T, P]."""
    rows = jacobian(problem, params, pick(params, problem.shared), batch)
    result: Tensor = rows / rows.norm(dim=1, keepdim=True).clamp(min=1e-12)
    return result


def cosine(problem: TaskProblem, params: Params, batch: Batch) -> Tensor:
    """[T, T], with θ as it is."""
    u = units(problem, params, batch)
    return u @ u.T


def lookahead(
    problem: TaskProblem, params: Params, batch: Batch, scored: Batch | None = None
) -> Tensor:
    """Z [T, T]: by which share a step on task i (row) lowers the loss of task j (column).

    Args:
        scored: other rows to take the losses on.
    """
    rows = batch if scored is None else scored
    shared = pick(params, problem.shared)
    u = units(problem, params, batch)
    length = STEP * torch.cat([value.flatten() for value in shared.values()]).norm()
    before = problem.losses(params, rows).clamp(min=1e-12)
    found = []
    for direction in u:
        step = unflatten(direction, shared)
        moved = {name: value - length * step[name] for name, value in shared.items()}
        found.append(1 - problem.losses({**params, **moved}, rows) / before)
    return torch.stack(found)


def fisher(problem: TaskProblem, params: Params, batch: Batch) -> Tensor:
    """Diagonals of the Fisher information of a trunk with one hidden layer, [T, D·F]: the mean
    over rows of (∂output/∂weight)², times p (1 - p) for a classification."""
    seen = problem.standardised(params, batch)
    x = seen.x.expand(*batch.y.shape, seen.x.shape[-1])
    f = trunk(params, x)  # [T, M, F]
    gates = (f > 0) * params["heads.weight"][:, None] ** 2
    p = torch.sigmoid((f @ params["heads.weight"][..., None]).squeeze(-1))
    weight = torch.where(problem.is_binary[:, None], p * (1 - p), 1.0) * whole_mask(batch)
    return (gates * weight[..., None]).mT.matmul(x**2).flatten(1)


def corrected(raw: Tensor, reliability: Tensor, least: float = 0.02) -> Tensor:
    """Spearman's correction of cosines [T, T] by reliabilities [T]; a task less reliable than
    `least` counts as that reliable. The diagonal is 1."""
    r = reliability.clamp(min=least)
    full = (2 * r / (1 + r)).sqrt()
    found = raw / full[:, None] / full
    return found.fill_diagonal_(1.0)
