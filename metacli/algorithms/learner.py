"""What the loop trains (`Method`), what adapts a network and predicts (`Adapter`), and what does
both (`Learner`).

What a learner can is declared here, with its default, and nowhere asked for in another way: a leaf
states what differs by an assignment in its class body or, where it depends on its fields, by a
property. Methods that are not abstract here are never overridden, `init` and `head_size` aside.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Generic, Literal, Protocol, TypeVar

import torch
from torch import Tensor

from metacli.algorithms.checks import check_meta_batch, explained, require_second_derivatives
from metacli.errors import UsageProblem
from metacli.nn.problem import Problem
from metacli.types import NO_STATE, Batch, Episode, Metrics, Params, State, Update

Kind = Literal["classification", "regression"]
Network = TypeVar("Network", contravariant=True)
Data = TypeVar("Data", contravariant=True)


class Method(Protocol, Generic[Network, Data]):
    """Anything that can be trained: a frozen dataclass whose fields are its hyper-parameters."""

    def init(self, problem: Network, params: Params) -> tuple[Params, State]:
        """The method's own learned parameters and its memory."""
        ...

    def direction(
        self, problem: Network, params: Params, batch: Data, state: State, rng: torch.Generator
    ) -> Update:
        """What to subtract from θ for this batch."""
        ...


class Adapter(ABC):
    """θ and a support to a model of one task.

    `predict` answers row by row: no answer depends on the other rows of x.
    """

    @property
    def kinds(self) -> tuple[Kind, ...]:
        """The kinds of tasks it is for."""
        return ("classification", "regression")

    @property
    def any_way(self) -> bool:
        """Whether a trained model adapts to another number of classes than it was trained on:
        where θ's head, if there is one, is the same for all."""
        return self.head_size(2) == self.head_size(3)

    @property
    def traceable(self) -> bool:
        """Whether `adapt` is a fixed sequence of tensor operations, which an export can hold."""
        return True

    @property
    def trains_on(self) -> Literal["episodes", "classes"]:
        """Whether its labels in training are those of an episode or the classes of the pool."""
        return "episodes"

    @property
    def mean_over_tasks(self) -> bool:
        """Whether `direction`, what it replaces and its metrics are means over the tasks of a
        meta-batch, so that parts of it can be taken by themselves."""
        return self.trains_on == "episodes"

    @property
    def running_statistics(self) -> bool:
        """Whether it keeps running statistics of normalisation layers while it trains."""
        return False

    @property
    def compiles(self) -> bool:
        """Whether `train.execution: compiled` is for it: its gradient is an `outer_gradient`."""
        return False

    @property
    def has_path(self) -> bool:
        """Whether it adapts by gradient steps, so that `path` gives φ after 0, 1, 2, ... of
        them."""
        return False

    @property
    def inner_steps(self) -> int | None:
        """Gradient steps of an adaptation; None without."""
        return None

    @property
    def first_order(self) -> bool:
        """Whether `train.execution: auto` takes its inner gradients for constants."""
        return True

    @property
    def second_derivatives(self) -> bool:
        """Whether training asks for second derivatives of the network."""
        return False

    @property
    def adapts(self) -> tuple[str, ...]:
        """How the names of the parameters start that adaptation moves; "" is every name."""
        return ("",)

    @property
    def takes_padding(self) -> bool:
        """Whether it trains on supports of several sizes, the smaller ones padded."""
        return True

    @property
    def shared_labels(self) -> bool:
        """Whether outputs have to mean the same in every task."""
        return False

    @property
    def has_together(self) -> bool:
        """Whether predictions may use the statistics of all queries: `predict_together`."""
        return False

    def head_size(self, way: int) -> int | None:
        """Outputs of the linear head in θ for `way` classes; None where the head is built from
        the support."""
        return None

    @abstractmethod
    def adapt(
        self, problem: Problem, params: Params, support: Batch, state: State = NO_STATE
    ) -> Params:
        """θ and a support to everything that prediction needs.

        Args:
            support: x [M, ...], y [M], the labels 0..N-1; of a regression y [M, outputs].
        """

    @abstractmethod
    def predict(self, problem: Problem, adapted: Params, x: Tensor) -> Tensor:
        """Logits [M, N] or values [M, outputs] of x [M, ...]."""

    def path(
        self, problem: Problem, params: Params, support: Batch, state: State = NO_STATE
    ) -> list[Params]:
        """What `adapt` gives after 0, 1, 2, ... steps; its result alone where it takes none."""
        return [self.adapt(problem, params, support, state)]

    def predict_together(self, problem: Problem, adapted: Params, x: Tensor) -> Tensor:
        """`predict` with normalisation by the statistics of all of x, where `has_together`."""
        return self.predict(problem, adapted, x)


class Learner(Adapter):
    """A few-shot learner: a frozen dataclass of pure functions."""

    def init(self, problem: Problem, params: Params) -> tuple[Params, State]:
        """The learner's own learned parameters and its memory, usually ({}, {})."""
        return {}, {}

    @abstractmethod
    def direction(
        self, problem: Problem, params: Params, batch: Episode, state: State, rng: torch.Generator
    ) -> Update:
        """What to subtract from θ for a meta-batch, whose tensors have a leading [B]."""

    def gradient(
        self,
        problem: Problem,
        episodes: Episode,
        *,
        params: Params | None = None,
        rng: torch.Generator | None = None,
    ) -> tuple[Params, Metrics]:
        """`direction` for a training loop of one's own, which `problem.set_grad` hands to any
        optimiser of torch. Of second order unless the learner says otherwise.

        Args:
            problem: made by `Problem.from_module`.
            episodes: a meta-batch: x [B, M, ...], y [B, M] with the labels 0..N-1 of each task, or
                y [B, M, outputs] of a regression.
            params: θ, and the learner's own learned parameters where it has any; left out, those
                of the module as it is now.
            rng: what is random in the learner; left out, seeded by torch's global generator.

        Returns:
            The gradient, by the names of `params`; and scalars: `query_loss`, and
            `query_accuracy` or `query_mse`, means over the tasks and their queries.

        Raises:
            UsageProblem: the learner has a memory, which only `direction` takes and returns; the
                shapes do not fit; it has no compiled gradient and the problem asks for one; or an
                operation of the network has no second derivative, or no rule for `torch.vmap`.
        """
        check_meta_batch(problem, episodes)
        if problem.compiled and not self.compiles:
            raise UsageProblem(
                f"no compiled gradient of {type(self).__name__}",
                hint="compiled=False, or a learner that says `compiles`, such as MAML",
            )
        theta = problem.params() if params is None else params
        own, state = self.init(problem, theta)
        if state:
            raise UsageProblem(
                f"{type(self).__name__} remembers {', '.join(state)} from step to step",
                hint="learner.direction(problem, params, episodes, state, rng) returns it",
            )
        if rng is None:
            rng = torch.Generator().manual_seed(int(torch.randint(2**62, ())))
        if self.second_derivatives:
            require_second_derivatives(problem, theta, episodes)
        with explained(problem):
            update = self.direction(problem, {**own, **theta}, episodes, state, rng)
        return update.direction, update.metrics
