"""Multi-task training whose weights follow the loss on validation rows: `weighting.auto_lambda`.

A batch is an `Episode`: training rows as support, validation rows as query; of dense tasks training
images and other training images, as the authors of Auto-Lambda do it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, TypeGuard

import torch
from torch import Tensor

from metacli.algorithms.multitask.method import PREFIX, ManyTasks, loss_metrics
from metacli.algorithms.multitask.relatedness import halves, whole_mask
from metacli.algorithms.multitask.weighting.auto_lambda import AutoLambda
from metacli.autodiff import gradient, task_gradients
from metacli.nn.multi_task import TaskProblem
from metacli.nn.sharing.auxiliary import Auxiliary
from metacli.trees import add_scaled
from metacli.types import Batch, Episode, Params, State, Update

WEIGHTS = PREFIX + "weights"


@dataclass(frozen=True, kw_only=True)
class MetaWeighted:
    """One weight for each task, or with `auxiliary` sharing a row of them for each network."""

    weighting: AutoLambda

    needs_validation: ClassVar[bool] = True

    def init(self, problem: ManyTasks, params: Params) -> tuple[Params, State]:
        own, state = self.weighting.init(problem.num_tasks)
        weights = own["weights"].to(params[min(problem.trainable)].dtype)
        if has_networks(problem):
            weights = torch.eye(problem.num_tasks, dtype=weights.dtype)
        return {WEIGHTS: weights}, state

    def direction(
        self,
        problem: ManyTasks,
        params: Params,
        batch: Episode,
        state: State,
        rng: torch.Generator,
    ) -> Update:
        theta = {name: params[name] for name in sorted(problem.trainable)}
        before = params[WEIGHTS]
        if has_networks(problem):
            total = self.crossed_slopes(problem, params, batch, rng)
            if "slopes" in state:
                total = total + torch.tensor(state["slopes"]).to(total)
            state = {"slopes": total.tolist()}
            weights = self.weighting.matrix(total)
        else:
            weights = self.weighting.moved(before, self.step_slopes(problem, params, batch))

        def objective(moved: Params) -> tuple[Tensor, Tensor]:
            now = {**params, **moved}
            total = (before * weighed_losses(problem, now, batch.support)).sum()
            return total + problem.penalty(now), problem.losses(now, batch.support)

        step, losses = gradient(objective, theta)
        return Update(step, state, loss_metrics(losses), replace={WEIGHTS: weights})

    def crossed_slopes(
        self, problem: TaskProblem, params: Params, batch: Episode, rng: torch.Generator
    ) -> Tensor:
        """∂L_val / ∂w [N, T], the sum of two inner steps: on either half of the training rows,
        validated on the other half and the validation rows."""
        one, other = halves(batch.support, rng)
        first = self.fitted_slopes(problem, params, Episode(one, joined(other, batch.query)))
        return first + self.fitted_slopes(problem, params, Episode(other, joined(one, batch.query)))

    def fitted_slopes(self, problem: TaskProblem, params: Params, batch: Episode) -> Tensor:
        """`step_slopes` with heads that are fitted to the rows of the inner step."""
        seen = problem.standardised(params, batch.support)
        mask = whole_mask(seen).to(seen.y.dtype)
        y = torch.where(problem.is_binary[:, None], seen.y - 0.5, seen.y)
        fitted = networks_of(problem).fit_heads(params, seen.x, y, mask)
        return self.step_slopes(problem, fitted, batch)

    def step_slopes(self, problem: ManyTasks, params: Params, batch: Episode) -> Tensor:
        """∂L_val / ∂w of one inner step from θ as it is, [T] or [N, T]."""
        weights, alpha = params[WEIGHTS], self.weighting.inner_lr
        networks = has_networks(problem)
        theta = {name: params[name] for name in inner_names(problem)}
        rows = each_gradient(problem, params, theta, batch.support)
        spread = weights.T if networks else weights  # [T, N] or [T]
        step = {name: (widened(spread, value) * value).sum(0) for name, value in rows.items()}

        def validation(moved: Params) -> tuple[Tensor, Tensor]:
            each = problem.losses({**params, **moved}, batch.query)
            return (each.sum() if networks else each.mean()), each

        onward, _ = gradient(validation, add_scaled(theta, step, -alpha))
        dims = spread.dim()
        parts = [(rows[name] * onward[name]).reshape(*spread.shape, -1).sum(dims) for name in rows]
        found = -alpha * torch.stack(parts).sum(0)
        return found.T if networks else found


def has_networks(problem: ManyTasks) -> TypeGuard[TaskProblem]:
    """Whether every task has a network that learns all of them."""
    return isinstance(problem, TaskProblem) and isinstance(problem.sharing, Auxiliary)


def networks_of(problem: TaskProblem) -> Auxiliary:
    """The scheme of a problem that `has_networks`."""
    assert isinstance(problem.sharing, Auxiliary)
    return problem.sharing


def inner_names(problem: ManyTasks) -> list[str]:
    """What the inner step moves. Of networks the trunk alone: their heads are fitted, and other
    tasks have heads of their own, so that heads say nothing of what a task brings another one."""
    whole = has_networks(problem)
    return [n for n in sorted(problem.trainable) if not whole or n.startswith("trunk.")]


def joined(a: Batch, b: Batch) -> Batch:
    """The rows of both."""
    masks = torch.cat([whole_mask(a), whole_mask(b)], 1)
    return Batch(torch.cat([a.x, b.x], -2), torch.cat([a.y, b.y], 1), masks)


def weighed_losses(problem: ManyTasks, params: Params, batch: Batch) -> Tensor:
    """What the weights multiply: L [T], or L_nt of network n on the rows of task t, [N, T]."""
    if not has_networks(problem):
        return problem.losses(params, batch)
    return copied_losses(problem, params, {}, batch).T


def each_gradient(problem: ManyTasks, params: Params, theta: Params, batch: Batch) -> Params:
    """∇L_t with a leading [T]; of a matrix [T, N, ...], by one backward pass."""
    if not has_networks(problem):
        return task_gradients(lambda moved: problem.losses({**params, **moved}, batch), theta)
    tasks = problem.num_tasks
    copies = {name: value.expand(tasks, *value.shape).clone() for name, value in theta.items()}

    def total(moved: Params) -> tuple[Tensor, Tensor]:
        losses = copied_losses(problem, params, moved, batch)
        return losses.sum(), losses

    found, _ = gradient(total, copies)
    return found


def copied_losses(problem: TaskProblem, params: Params, copies: Params, batch: Batch) -> Tensor:
    """The mean loss of network n on the rows of task t, [T, N].

    Args:
        copies: parameters [T, N, ...], in the place of those of the networks.
    """
    seen = problem.standardised(params, batch)
    plain = {name: params[name][None] for name in problem.trainable}
    out = networks_of(problem).all_outputs({**plain, **copies}, seen.x)  # [T, N, M]
    tasks = problem.num_tasks
    flat = [problem.row_losses(out[:, n], seen.y) for n in range(tasks)]
    each = torch.stack(flat, 1)
    if seen.mask is None:
        return each.mean(-1)
    mask = seen.mask[:, None]
    return torch.where(mask, each, 0).sum(-1) / mask.sum(-1).clamp(min=1)


def widened(weights: Tensor, rows: Tensor) -> Tensor:
    """weights with as many axes as rows."""
    return weights.reshape(*weights.shape, *[1] * (rows.dim() - weights.dim()))
