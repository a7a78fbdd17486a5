"""Multi-task training: one step on all tasks.

θ_shared gets ∇ of the weighting's objective, or what the surgery makes of the tasks' gradients; the
tasks' own parameters always get the gradient of the objective. A soft-sharing penalty is added
afterwards: it is not one of the tasks.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from metacli.algorithms.multitask.balancing import Surgery, Weighting
from metacli.autodiff import copied_rows, gradient, task_rows
from metacli.nn.multi_task import TaskProblem
from metacli.threads import computing_with
from metacli.trees import pick, unflatten
from metacli.types import Batch, Metrics, Params, State, Update

PREFIX = "weighting."


@dataclass(frozen=True, kw_only=True)
class MultiTask:
    """A weighting, and perhaps a surgery on the shared parameters."""

    weighting: Weighting
    surgery: Surgery | None = None

    def init(self, problem: TaskProblem, params: Params) -> tuple[Params, State]:
        own, state = self.weighting.init(problem.num_tasks)
        return {PREFIX + name: value for name, value in own.items()}, state

    def direction(
        self,
        problem: TaskProblem,
        params: Params,
        batch: Batch,
        state: State,
        rng: torch.Generator,
    ) -> Update:
        moved = {
            name: value
            for name, value in params.items()
            if name in problem.trainable or name.startswith(PREFIX)
        }
        fixed = {name: value for name, value in params.items() if name not in moved}
        norms = self.norms(problem, params, batch)
        remembered: list[State] = []

        def objective(theta: Params) -> tuple[Tensor, Tensor]:
            losses = problem.losses({**fixed, **theta}, batch)
            own = {k.removeprefix(PREFIX): v for k, v in theta.items() if k.startswith(PREFIX)}
            total, memory = self.weighting.objective(losses, norms, own, state, rng)
            remembered.append(memory)
            return total + problem.penalty(theta), losses

        step, losses = gradient(objective, moved)
        if self.surgery is not None:
            for tasks, names in problem.blocks:
                shared = pick(params, names)
                step |= self.operated(self.surgery, problem, params, shared, tasks, batch, rng)
        return Update(step, remembered[0], loss_metrics(losses))

    def norms(self, problem: TaskProblem, params: Params, batch: Batch) -> Tensor | None:
        """||∇ L_t|| at the weights of the last shared layer, [T]."""
        if not self.weighting.needs_norms:
            return None
        last = [name for name in problem.shared if name.endswith(".weight")][-1:]
        return jacobian(problem, params, pick(params, last), batch).norm(dim=1)

    def operated(
        self,
        surgery: Surgery,
        problem: TaskProblem,
        params: Params,
        shared: Params,
        tasks: tuple[int, ...],
        batch: Batch,
        rng: torch.Generator,
    ) -> Params:
        rows = jacobian(problem, params, shared, batch)[list(tasks)]
        return unflatten(surgery.combine(rows, rng), shared)


@dataclass(frozen=True, kw_only=True)
class Solved:
    """A convex problem with an exact solution: the only step assigns it."""

    def init(self, problem: TaskProblem, params: Params) -> tuple[Params, State]:
        return {}, {}

    def direction(
        self,
        problem: TaskProblem,
        params: Params,
        batch: Batch,
        state: State,
        rng: torch.Generator,
    ) -> Update:
        # Many small matrices, which several threads mostly wait for; and its bits are then those of
        # every number of threads.
        with computing_with(1):
            solution, scores = problem.sharing.solve(
                problem.standardised(params, batch), rng, problem.is_binary
            )
        losses = problem.losses({**params, **solution}, batch)
        metrics = {**loss_metrics(losses), "inner_folds_loss": scores.min()}
        return Update({}, state, metrics, replace=solution)


def jacobian(problem: TaskProblem, params: Params, shared: Params, batch: Batch) -> Tensor:
    """∇ L_t at these parameters for each task, [T, P]."""
    losses_of = lambda theta: problem.losses({**params, **theta}, batch)  # noqa: E731
    if problem.sharing.copies and problem.encoder is None:
        return copied_rows(losses_of, shared, problem.num_tasks)
    return task_rows(losses_of, shared)


def loss_metrics(losses: Tensor) -> Metrics:
    return {"loss": losses.detach().mean()}


def as_floats(values: Any) -> list[float]:
    """A vector as plain numbers, for a method's memory."""
    return [float(value) for value in values]
