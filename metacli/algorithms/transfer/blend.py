"""Blend: the mean of a linear model, boosted trees and a random forest. T. G. Dietterich, "Ensemble
Methods in Machine Learning", Multiple Classifier Systems, LNCS 1857, 2000, section 2, reasons 1 and
3; equal weights as by R. Caruana et al., "Ensemble Selection from Libraries of Models", ICML 2004,
section 2, before any selection.

Idea: of a few rows no one can tell which kind of model is right; their mean is seldom the worst.

    p(x) = (1/3) Σ_k softmax(logits_k(x)),   logits(x) = log p(x),   value(x) = (1/3) Σ_k value_k(x)

with k the linear probe, boosted trees and random forest of these pages on the same features.

Where we differ: no weights are fitted. Of the three, settings that matter little stay fixed (see
`boosted` and `forest`); the linear model's `penalty`, which is not given, is the one with the
smallest log loss (squared error) of the mean on folds of the support.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Self

import torch
from annotated_types import Gt
from torch import Tensor

from metacli.algorithms.meta.episodic import frozen_features
from metacli.algorithms.transfer.boosted_trees import (
    BASE,
    FEATURE,
    THRESHOLD,
    VALUE,
    BoostedTrees,
    outputs,
)
from metacli.algorithms.transfer.linear_probe import GRID, LinearProbe
from metacli.algorithms.transfer.random_forest import RandomForest
from metacli.algorithms.transfer.transfer import Transfer, choices, filled, network_of
from metacli.nn.problem import Problem
from metacli.nn.solvers.boosting import Boosted
from metacli.types import NO_STATE, Batch, Params, State

ROUNDS, DEPTH, VOTES = 50, 3, 10.0  # of the boosted trees and of the forest


@dataclass(frozen=True, kw_only=True)
class Blend(Transfer):
    penalty: Annotated[float, Gt(0)] | None = None

    frozen = True

    def usual(self) -> Self:
        return filled(self, {"penalty": 0.1})

    def explore(
        self, problem: Problem, params: Params, support: Batch, state: State, x: Tensor
    ) -> list[tuple[Self, Tensor]]:
        frozen, features = frozen_features(problem, network_of(problem, params), support)
        query = problem.embed(frozen, x)
        trees = self.of_trees(problem, self.grown(problem, features, support), query)
        found: list[tuple[Self, Tensor]] = []
        for one in choices(self, GRID):
            head = one.linear().head(problem, features, support)
            found.append((one, mean_of(problem, [*trees, problem.read_out(head, query)])))
        return found

    def adapt(
        self, problem: Problem, params: Params, support: Batch, state: State = NO_STATE
    ) -> Params:
        frozen, features = frozen_features(problem, network_of(problem, params), support)
        head = self.usual().linear().head(problem, features, support)
        return {**frozen, **head, **self.grown(problem, features, support)}

    def explored(self, problem: Problem, said: Mapping[Transfer, Tensor]) -> dict[Self, Tensor]:
        """The same as `explore`, of what the three say in all of their own choices."""
        trees = [said[one] for one in (self.boosted(), self.forest())]
        tried = choices(self, GRID)
        return {one: mean_of(problem, [*trees, said[one.linear()]]) for one in tried}

    def linear(self) -> LinearProbe:
        return LinearProbe(penalty=self.penalty)

    def boosted(self) -> BoostedTrees:
        return BoostedTrees(depth=DEPTH, rounds=ROUNDS)

    def forest(self) -> RandomForest:
        return RandomForest(votes=VOTES)

    def grown(self, problem: Problem, features: Tensor, support: Batch) -> Params:
        """Both kinds of trees."""
        made = self.boosted().grow(problem, features, support)
        boosted = {FEATURE: made.feature, THRESHOLD: made.threshold}
        boosted |= {VALUE: made.value, BASE: made.base}
        return {**boosted, **self.forest().grown(problem, features, support)}

    def of_trees(self, problem: Problem, kept: Params, features: Tensor) -> list[Tensor]:
        """What both say, logits [M, N] or values [M, 1] each."""
        boosted = Boosted(*(kept[name] for name in (FEATURE, THRESHOLD, VALUE, BASE)))
        forest = self.forest().answers(problem, kept, features)
        return [outputs(problem, boosted, features), forest]

    def predict(self, problem: Problem, adapted: Params, x: Tensor) -> Tensor:
        features = problem.embed(adapted, x)
        trees = self.of_trees(problem, adapted, features)
        return mean_of(problem, [*trees, problem.read_out(adapted, features)])


def mean_of(problem: Problem, said: Sequence[Tensor]) -> Tensor:
    """Of values; of logits the logarithm of the mean probability; with the last one's dtype."""
    every = torch.stack([one.to(said[-1].dtype) for one in said])
    if problem.kind == "regression":
        return every.mean(0)
    return torch.log(torch.softmax(every, -1).mean(0))
