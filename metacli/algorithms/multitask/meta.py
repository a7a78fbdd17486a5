"""Multi-task training whose weights follow the loss on validation rows (`weighting/meta.py`).

A batch is an `Episode`: training rows as support, validation rows as query.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from metacli.algorithms.multitask.method import PREFIX, loss_metrics
from metacli.algorithms.multitask.weighting.meta import Meta
from metacli.autodiff import gradient, task_gradients
from metacli.nn.tasks import TaskProblem
from metacli.trees import add_scaled
from metacli.types import Batch, Episode, Params, State, Update

WEIGHTS = PREFIX + "weights"


@dataclass(frozen=True, kw_only=True)
class MetaWeighted:
    """One weight for each task, or with `auxiliary` sharing a row of them for each network."""

    weighting: Meta

    needs_validation: ClassVar[bool] = True

    def init(self, problem: TaskProblem, params: Params) -> tuple[Params, State]:
        own, state = self.weighting.init(problem.num_tasks)
        weights = own["weights"].to(params["heads.bias"].dtype)
        if has_networks(problem):
            weights = weights.expand(problem.num_tasks, -1).clone()
        return {WEIGHTS: weights}, state

    def direction(
        self,
        problem: TaskProblem,
        params: Params,
        batch: Episode,
        state: State,
        rng: torch.Generator,
    ) -> Update:
        step, slopes, losses = self.slopes(problem, params, batch)
        theta = {name: params[name] for name in step}

        def penalty(moved: Params) -> tuple[Tensor, Tensor]:
            nothing = 0.0 * next(iter(moved.values())).sum()  # most schemes have no penalty
            return problem.penalty({**params, **moved}) + nothing, losses

        pull, _ = gradient(penalty, theta)
        # The networks get the mean of the losses where weights are even: T times less than w L.
        step = {name: value + pull[name] for name, value in step.items()}
        weights = self.weighting.moved(params[WEIGHTS], slopes)
        return Update(step, state, loss_metrics(losses), replace={WEIGHTS: weights})

    def slopes(
        self, problem: TaskProblem, params: Params, batch: Episode
    ) -> tuple[Params, Tensor, Tensor]:
        """The inner direction Σ_i w_i ∇L_i, ∂L_val / ∂w of the step along it, and the losses."""
        weights, alpha = params[WEIGHTS], self.weighting.inner_lr
        theta = {name: params[name] for name in sorted(problem.trainable)}
        networks = has_networks(problem)

        def losses(moved: Params) -> Tensor:
            now = {**params, **moved}
            if networks:
                return matrix_losses(problem, now, batch.support).sum(0)
            return problem.losses(now, batch.support)

        def validation(moved: Params) -> tuple[Tensor, Tensor]:
            each = problem.losses({**params, **moved}, batch.query)
            return (each.sum() if networks else each.mean()), each

        rows = task_gradients(losses, theta)  # [T, ...] of each parameter
        spread = weights.T if networks else weights  # [T, N] or [T]
        step = {name: weighted(spread, value) for name, value in rows.items()}
        onward, _ = gradient(validation, add_scaled(theta, step, -alpha))
        products = [inner(rows[name], onward[name], networks) for name in rows]
        slopes = -alpha * torch.stack(products).sum(0)
        now = problem.losses(params, batch.support).detach()
        return step, slopes.T if networks else slopes, now


def has_networks(problem: TaskProblem) -> bool:
    """Whether every task has a network that learns all of them."""
    return hasattr(problem.sharing, "all_outputs")


def matrix_losses(problem: TaskProblem, params: Params, batch: Batch) -> Tensor:
    """L_nt: the mean loss of network n on the rows of task t, [N, T]."""
    seen = problem.standardised(params, batch)
    out = problem.sharing.all_outputs(params, seen.x)  # [N, T, M]
    each = problem.row_losses(out, seen.y.expand_as(out))
    if seen.mask is None:
        return each.mean(-1)
    return torch.where(seen.mask, each, 0).sum(-1) / seen.mask.sum(-1).clamp(min=1)


def weighted(weights: Tensor, rows: Tensor) -> Tensor:
    """Σ_i w_i rows_i; for weights [T, N] those of each network."""
    return (weights.reshape(*weights.shape, *[1] * (rows.dim() - weights.dim())) * rows).sum(0)


def inner(rows: Tensor, onward: Tensor, networks: bool) -> Tensor:
    """rows_i · onward, [T]; for each network apart, [T, N]."""
    product = rows * onward
    return (
        product.flatten(2 if networks and product.dim() > 1 else 1).sum(-1)
        if (product.dim() > (2 if networks else 1))
        else product
    )
