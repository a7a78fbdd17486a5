"""What every way of transfer is: adapts as a `Learner` does, and offers settings to choose from.

A field that is None is *not given*: validation inside the support picks it among `choices`. Nothing
here reads the source's own head, but where the engine leaves `head.*` in θ because its outputs mean
the same in the target.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from itertools import product
from typing import Any, Protocol, TypeVar

from torch import Tensor

from metacli.algorithms.meta.inner import HEAD
from metacli.nn.problem import Problem
from metacli.trees import pick
from metacli.types import Batch, Params, State

Own = TypeVar("Own", bound=Any)
Tried = list[tuple[Any, Tensor]]
"""Each choice, complete, with what it predicts for x: logits [M, N] or values [M, outputs]."""


class Transfer(Protocol):
    """A frozen dataclass of pure functions."""

    kinds: tuple[str, ...]
    frozen: bool
    """Whether the network stays as it is, so that its features are all that is needed."""

    def usual(self) -> Any:
        """Complete, for a support too small to choose anything on."""
        ...

    def explore(
        self, problem: Problem, params: Params, state: State, support: Batch, x: Tensor
    ) -> Tried:
        """Every choice, adapted to the support, on x; what they share is computed once."""
        ...

    def adapt(self, problem: Problem, params: Params, state: State, support: Batch) -> Params: ...

    def predict(self, problem: Problem, adapted: Params, x: Tensor) -> Tensor: ...


def choices(learner: Own, grid: Mapping[str, Sequence[Any]]) -> list[Own]:
    """The learner with every combination of the fields that are not given."""
    open_ = [f.name for f in fields(learner) if getattr(learner, f.name) is None]
    return [
        replace(learner, **dict(zip(open_, values, strict=True)))
        for values in product(*(grid[name] for name in open_))
    ]


def filled(learner: Own, values: Mapping[str, Any]) -> Own:
    """The learner with these values where nothing is given."""
    return replace(learner, **{n: v for n, v in values.items() if getattr(learner, n) is None})


def network_of(problem: Problem, params: Params) -> Params:
    """θ without heads and without numbers that the source's learner learned for itself."""
    return pick(params, problem.module.state_dict())


def kept_head(params: Params, outputs: int) -> Params:
    """The source's head where it is in θ and has as many outputs; {} otherwise."""
    weight = params.get(HEAD[0])
    return pick(params, HEAD) if weight is not None and len(weight) == outputs else {}


def outputs_of(problem: Problem, support: Batch) -> int:
    """N classes, or the numbers of a regression."""
    if problem.kind == "classification":
        return int(support.y.max()) + 1
    return support.y.shape[1]
