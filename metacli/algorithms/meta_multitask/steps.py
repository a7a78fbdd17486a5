"""The inner loop of the learners of sets that adapt by gradient steps: every task has a copy of the
trunk, and its steps follow a mixture of the tasks' gradients.

    φ_t ← φ_t − α Σ_s A_ts ∇L_s(φ_s)   (trunk)
    h_t ← h_t − α ∇L_t(h_t)            (head)

With A_ts = 1/T all copies stay the same: full sharing, the joint inner loop of MAML on the mean of
the tasks' losses, which is computed with one copy for a set. With A = I each task is by itself.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from metacli.autodiff import constant_grad, grad
from metacli.nn.trunk_heads import HEAD, TASK_CONTEXT, TrunkHeads
from metacli.types import Batch, Params

OWN = (*HEAD, TASK_CONTEXT)  # what one task alone reads: its steps follow its own loss
Rate = Callable[[int, str], float | Tensor]
"""(0-based step, parameter name) -> the inner rate."""


def task_losses(network: TrunkHeads, copies: Params, batch: Batch) -> Tensor:
    """The mean squared error of each task over its known labels, [B, T]."""
    error = (network.forward(copies, batch.x) - known(batch)).square()
    if batch.mask is None:
        return error.mean(-1)
    counted = batch.mask.to(error.dtype)
    return (error * counted).sum(-1) / counted.sum(-1).clamp(min=1)


def known(batch: Batch) -> Tensor:
    """y, 0 where a label is missing: whatever stands there, NaN too, changes nothing."""
    return batch.y if batch.mask is None else torch.where(batch.mask, batch.y, 0)


def mixed(gradient: Tensor, coupling: Tensor) -> Tensor:
    """Σ_s A_ts g_s: [B, T, ...] and [B, T, T]."""
    return (coupling @ gradient.flatten(2)).view_as(gradient)


def coupled_steps(
    network: TrunkHeads,
    copies: Params,
    support: Batch,
    coupling: Tensor | int,
    *,
    rate: Rate,
    steps: int,
    first_order: bool,
    moves: frozenset[str],
) -> Params:
    """φ after `steps` of the equation above.

    Args:
        copies: φ_0, [B, T, ...]. coupling: A, [B, T, T]; or T, for full sharing of copies
            [B, 1, ...].
        first_order: inner gradients count as constants.
        moves: names that move.
    """
    fast = {name: value for name, value in copies.items() if name in moves}
    still = {name: value for name, value in copies.items() if name not in moves}
    loss = lambda phi: task_losses(network, {**still, **phi}, support).sum()  # noqa: E731
    for step in range(steps):
        slopes = constant_grad(loss, fast) if first_order else grad(loss, fast)
        after = {}
        for name, value in fast.items():
            slope, by = slopes[name], torch.as_tensor(rate(step, name), dtype=value.dtype)
            if name not in OWN:
                if isinstance(coupling, int):  # the slope of the one copy is Σ_s g_s
                    by = by / coupling
                else:
                    slope = mixed(slope, coupling)
            after[name] = torch.addcmul(value, slope, -by)
        fast = after
    return {**still, **fast}


def uniform(sees: Tensor, dtype: torch.dtype) -> Tensor:
    """A_ts = 1 / (number of tasks that t sees): 1/T where all see each other, I where none do."""
    weights = sees.to(dtype)
    return weights / weights.sum(-1, keepdim=True)
