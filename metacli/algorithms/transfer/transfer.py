"""What every transfer method is: it adapts as a `Learner` does, and offers settings to choose from.

A field that is None is *not given*: validation inside the support picks it among `choices`. Nothing
here reads the source's own head, but where the engine leaves `head.*` in θ because its outputs mean
the same in the target.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import product
from typing import Self, TypeVar

from torch import Tensor

from metacli.algorithms.learner import Adapter
from metacli.algorithms.meta.inner import HEAD
from metacli.nn.problem import Problem
from metacli.trees import pick
from metacli.types import Batch, Params, State

Value = float | int | str | None
Grid = Mapping[str, Sequence[Value]]


class Transfer(Adapter):
    """A frozen dataclass of pure functions, whose state is {}."""

    @property
    def frozen(self) -> bool:
        """Whether the network stays as it is, so that its features are all that is needed."""
        return False

    @property
    def complete(self) -> bool:
        """Whether every setting is given."""
        return None not in vars(self).values()

    @abstractmethod
    def usual(self) -> Self:
        """Complete, for a support too small to choose anything on."""

    @abstractmethod
    def explore(
        self, problem: Problem, params: Params, support: Batch, state: State, x: Tensor
    ) -> list[tuple[Self, Tensor]]:
        """Every choice, complete and adapted to the support, with what it predicts for x: logits
        [M, N] or values [M, outputs]. What choices share is computed once."""

    @property
    def together(self) -> bool:
        """Whether `explore_each` takes less time than `explore` of each."""
        return False

    def explore_each(
        self, problem: Problem, params: Params, asked: Iterable[tuple[Batch, Tensor]], state: State
    ) -> list[list[tuple[Self, Tensor]]]:
        """`explore` of several supports, each with its own x."""
        return [self.explore(problem, params, part, state, x) for part, x in asked]


Method = TypeVar("Method", bound=Transfer)


def choices(method: Method, grid: Grid) -> list[Method]:
    """The method with every combination of the fields that are not given."""
    open_ = [name for name, value in vars(method).items() if value is None]
    return [
        filled(method, dict(zip(open_, values, strict=True)))
        for values in product(*(grid[name] for name in open_))
    ]


def filled(method: Method, values: Mapping[str, Value]) -> Method:
    """The method with these values where nothing is given."""
    given = vars(method)
    return replace(method, **{n: v for n, v in values.items() if given[n] is None})  # type: ignore[type-var]  # every leaf is a dataclass


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
