"""What the loop runs (`Method`) and what can also be adapted and shipped (`Learner`)."""

from __future__ import annotations

from typing import Any, Protocol

import torch
from torch import Tensor

from metacli.nn.problem import Problem
from metacli.types import Batch, Params, State, Update


class Method(Protocol):
    """Anything that can be trained: a frozen dataclass whose fields are its hyper-parameters."""

    def init(self, problem: Problem, params: Params) -> tuple[Params, State]:
        """The method's own learned numbers and memory, usually ({}, {})."""
        ...

    def direction(
        self, problem: Problem, params: Params, batch: Any, state: State, rng: torch.Generator
    ) -> Update:
        """What to subtract from θ for this batch."""
        ...


class Learner(Method, Protocol):
    """A few-shot learner.

    `predict` answers row by row: no answer depends on the other rows of x. A learner whose
    prediction can use the statistics of all queries together has `predict_together`, which only
    `evaluate` calls. A learner that adapts by gradient steps has `path`: φ after 0, 1, 2, ...
    steps. One whose `adapt` is not a fixed sequence of tensor operations says `traceable = False`.
    """

    def head_size(self, way: int) -> int | None:
        """Outputs of the linear head in θ for `way` classes; None when the head is built from the
        support."""
        ...

    @property
    def any_way(self) -> bool:
        """Whether a trained model adapts to another number of classes than it was trained on."""
        ...

    def adapt(self, problem: Problem, params: Params, state: State, support: Batch) -> Params:
        """θ and a support to everything that prediction needs."""
        ...

    def predict(self, problem: Problem, adapted: Params, x: Tensor) -> Tensor:
        """Logits [M, N] or values [M, outputs]."""
        ...


def trains_on_classes(learner: Any) -> bool:
    """Whether its labels in training are the classes of the pool, not those of an episode."""
    return getattr(learner, "trains_on", "episodes") == "classes"
