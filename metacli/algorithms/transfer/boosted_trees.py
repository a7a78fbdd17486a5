"""Gradient boosting: J. Friedman, "Greedy function approximation: a gradient boosting machine",
Annals of Statistics 29 (5), 2001, https://doi.org/10.1214/aos/1013203451, algorithms 1, 3 and 6.

Idea: small trees, each fitted to what those before it leave; columns need no scale.

    F_t(z) = F_{t−1}(z) + r · tree_t(z),   tree_t fitted to −∂ loss / ∂ F_{t−1},   z = f_θ(x)

which are scikit-learn's GradientBoostingClassifier and GradientBoostingRegressor on the same z: log
loss of labels, squared error of values. The trees are kept as tensors.

Where we differ: a leaf holds three examples at least. The trees' `depth` and the number of
`rounds`, which are not given, are those with the smallest log loss (squared error) on folds of the
support.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Self

from annotated_types import Ge, Gt, Le
from torch import Tensor
from torch.nn import functional as F

from metacli.algorithms.meta.episodic import frozen_features
from metacli.algorithms.transfer.transfer import Transfer, choices, filled, network_of
from metacli.nn.problem import Problem
from metacli.nn.solvers.boosting import Boosted, fit_boosted
from metacli.types import NO_STATE, Batch, Params, State

FEATURE, THRESHOLD = "trees.feature", "trees.threshold"
VALUE, BASE = "trees.value", "trees.base"
GRID = {"depth": (1, 3), "rounds": (10, 50)}


@dataclass(frozen=True, kw_only=True)
class BoostedTrees(Transfer):
    depth: Annotated[int, Ge(1), Le(8)] | None = None
    rounds: Annotated[int, Ge(1)] | None = None
    rate: Annotated[float, Gt(0), Le(1)] = 0.2

    frozen = True

    def usual(self) -> Self:
        return filled(self, {"depth": 1, "rounds": 50})

    def explore(
        self, problem: Problem, params: Params, support: Batch, state: State, x: Tensor
    ) -> list[tuple[Self, Tensor]]:
        frozen, features = frozen_features(problem, network_of(problem, params), support)
        query = problem.embed(frozen, x)
        tried = choices(self, GRID)
        longest = {one.depth: one for one in sorted(tried, key=lambda one: one.rounds or 0)}
        grown = {key: one.grow(problem, features, support) for key, one in longest.items()}
        found: list[tuple[Self, Tensor]] = []
        for one in tried:
            assert one.rounds is not None
            found.append((one, outputs(problem, grown[one.depth].first(one.rounds), query)))
        return found

    def adapt(
        self, problem: Problem, params: Params, support: Batch, state: State = NO_STATE
    ) -> Params:
        frozen, features = frozen_features(problem, network_of(problem, params), support)
        made = self.usual().grow(problem, features, support)
        trees = {FEATURE: made.feature, THRESHOLD: made.threshold}
        return {**frozen, **trees, VALUE: made.value, BASE: made.base}

    def grow(self, problem: Problem, features: Tensor, support: Batch) -> Boosted:
        """Trees on the features; their depth and number are given."""
        assert self.depth is not None
        assert self.rounds is not None
        keep = slice(None) if support.mask is None else support.mask
        x, y = features[keep], support.y[keep]
        how = {"depth": self.depth, "rounds": self.rounds}
        return fit_boosted(x, y, problem.kind, rate=self.rate, **how)

    def predict(self, problem: Problem, adapted: Params, x: Tensor) -> Tensor:
        trees = Boosted(*(adapted[name] for name in (FEATURE, THRESHOLD, VALUE, BASE)))
        return outputs(problem, trees, problem.embed(adapted, x))


def outputs(problem: Problem, trees: Boosted, features: Tensor) -> Tensor:
    """Logits [M, N], of two classes 0 and the logarithm of the odds; or values [M, 1]."""
    found = trees(features.float())
    odds = problem.kind == "classification" and found.shape[1] == 1
    return F.pad(found, (1, 0)) if odds else found
