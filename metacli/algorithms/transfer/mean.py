"""The mean: R. Hyndman, G. Athanasopoulos, "Forecasting: Principles and Practice", 3rd edition,
2021, section 5.2, the mean method.

Idea: every answer is the mean of the support's values, whatever the input.

    f(x) = (1/M) Σ_m y_m

What is worth anything has to beat it.

Where we differ: nowhere.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

from torch import Tensor

from metacli.algorithms.meta.inner import HEAD
from metacli.algorithms.transfer.transfer import Transfer, network_of
from metacli.nn.problem import Problem
from metacli.types import NO_STATE, Batch, Params, State


@dataclass(frozen=True, kw_only=True)
class Mean(Transfer):
    kinds = ("regression",)
    frozen = True

    def usual(self) -> Self:
        return self

    def explore(
        self, problem: Problem, params: Params, support: Batch, state: State, x: Tensor
    ) -> list[tuple[Self, Tensor]]:
        adapted = self.adapt(problem, params, support, state)
        return [(self, self.predict(problem, adapted, x))]

    def adapt(
        self, problem: Problem, params: Params, support: Batch, state: State = NO_STATE
    ) -> Params:
        keep = slice(None) if support.mask is None else support.mask
        network = problem.freeze_statistics(network_of(problem, params), support)
        bias = self.value(support.y[keep])
        weight = bias.new_zeros(len(bias), problem.features)
        return {**network, HEAD[0]: weight, HEAD[1]: bias}

    def value(self, y: Tensor) -> Tensor:
        """Of values [M, outputs] the answer, [outputs]."""
        return y.mean(0)

    def predict(self, problem: Problem, adapted: Params, x: Tensor) -> Tensor:
        return problem.predict(adapted, x)
