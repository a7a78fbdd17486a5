"""Multi-task training: one step on all tasks.

θ_shared gets ∇ of the weighting's objective, or what the surgery makes of the tasks' gradients; the
tasks' own parameters always get the gradient of the objective. A soft-sharing penalty is added
afterwards: it is not one of the tasks.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from metacli.algorithms.multitask.balancing import Surgery, Weighting
from metacli.autodiff import copied_rows, gradient, task_rows
from metacli.nn.multi_task import TaskProblem
from metacli.nn.sharing.scheme import Block, Solvable
from metacli.threads import computing_with
from metacli.trees import flatten, pick, unflatten
from metacli.types import Batch, Metrics, Params, State, Update

PREFIX = "weighting."
MEMORY = "surgery.gradients."  # of each block of tasks that share, [T, P]


class ManyTasks(Protocol):
    """A network of T tasks without its weights: of rows (`TaskProblem`) or of pixels
    (`DenseProblem`)."""

    @property
    def num_tasks(self) -> int: ...

    @property
    def trainable(self) -> frozenset[str]: ...

    @property
    def shared(self) -> tuple[str, ...]:
        """Names of the parameters that all tasks share, first layer first."""
        ...

    @property
    def blocks(self) -> Sequence[Block]:
        """Tasks that share parameters, and the names of these."""
        ...

    @property
    def copies(self) -> bool:
        """Whether `losses` also takes shared parameters with a leading task axis."""
        ...

    def losses(self, params: Params, batch: Batch) -> Tensor:
        """Of each task, [T]."""
        ...

    def penalty(self, params: Params) -> Tensor:
        """What is added to the objective, a scalar."""
        ...


@dataclass(frozen=True, kw_only=True)
class MultiTask:
    """A weighting, and perhaps a surgery on the shared parameters."""

    weighting: Weighting
    surgery: Surgery | None = None

    def init(self, problem: ManyTasks, params: Params) -> tuple[Params, State]:
        own, state = self.weighting.init(problem.num_tasks)
        learned = {PREFIX + name: value for name, value in own.items()}
        if self.surgery is None or not self.surgery.memory:
            return learned, state
        kept = {
            f"{MEMORY}{block}": flatten(pick(params, names)).new_zeros(len(tasks), size)
            for block, (tasks, names) in enumerate(problem.blocks)
            if (size := sum(params[name].numel() for name in names))
        }
        return {**learned, **kept}, state

    def direction(
        self,
        problem: ManyTasks,
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
        kept: Params = {}
        if self.surgery is not None:
            for block, (tasks, names) in enumerate(problem.blocks):
                shared = pick(params, names)
                rows = self.rows(problem, params, shared, tasks, batch, losses)
                memory = f"{MEMORY}{block}"
                if memory in params:
                    rows = kept[memory] = self.surgery.remembered(rows, params[memory])
                step |= unflatten(self.surgery.combine(rows, rng), shared)
        return Update(step, remembered[0], loss_metrics(losses), kept)

    def norms(self, problem: ManyTasks, params: Params, batch: Batch) -> Tensor | None:
        """||∇ L_t|| at the weights of the last shared layer, [T]."""
        if not self.weighting.needs_norms:
            return None
        last = [name for name in problem.shared if name.endswith(".weight")][-1:]
        result: Tensor = jacobian(problem, params, pick(params, last), batch).norm(dim=1)
        return result

    def rows(
        self,
        problem: ManyTasks,
        params: Params,
        shared: Params,
        tasks: tuple[int, ...],
        batch: Batch,
        losses: Tensor,
    ) -> Tensor:
        """The gradients of the tasks' terms by what they share, [T, P]."""
        found = jacobian(problem, params, shared, batch)
        slopes, _ = gradient(
            lambda at: (self.weighting.terms(at["losses"]).sum(), losses), {"losses": losses}
        )
        return (slopes["losses"][:, None] * found)[list(tasks)]


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
        scheme = problem.sharing
        assert isinstance(scheme, Solvable)  # a recipe of another one is trained step by step
        with computing_with(1):
            solution, scores = scheme.solve(
                problem.standardised(params, batch), rng, problem.is_binary
            )
        losses = problem.losses({**params, **solution}, batch)
        metrics = {**loss_metrics(losses), "inner_folds_loss": scores.min()}
        return Update({}, state, metrics, replace=solution)


def jacobian(problem: ManyTasks, params: Params, shared: Params, batch: Batch) -> Tensor:
    """∇ L_t at these parameters for each task, [T, P]."""
    losses_of = lambda theta: problem.losses({**params, **theta}, batch)  # noqa: E731
    if problem.copies:
        return copied_rows(losses_of, shared, problem.num_tasks)
    return task_rows(losses_of, shared)


def loss_metrics(losses: Tensor) -> Metrics:
    return {"loss": losses.detach().mean()}
