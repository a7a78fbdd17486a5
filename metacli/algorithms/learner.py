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

from metacli.nn.problem import Problem
from metacli.types import NO_STATE, Batch, Episode, Params, State, Update

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
    def running_statistics(self) -> bool:
        """Whether it keeps running statistics of normalisation layers while it trains."""
        return False

    @property
    def compiles(self) -> bool:
        """Whether `train.execution: compiled` is for it: its gradient is `query_gradient`."""
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
        """Whether no inner gradient is differentiated."""
        return True

    @property
    def adapts(self) -> tuple[str, ...]:
        """How the names of the parameters start that adaptation moves; "" is every name."""
        return ("",)

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
