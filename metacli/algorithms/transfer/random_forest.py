"""Random forest: L. Breiman, "Random Forests", Machine Learning 45 (1), 2001,
https://doi.org/10.1023/A:1010933404324.

Idea: many deep trees, each grown on a sample of the examples with a few features at every split,
and the mean of what they say.

    p(x) = (1/T) Σ_t share of the classes in the leaf of tree_t that z reaches,   z = f_θ(x)
    logits(x) = log ((v p(x) + q) / (v + 1)),   value(x) = (1/T) Σ_t mean of the leaf

which are scikit-learn's RandomForestClassifier and RandomForestRegressor on the same z, kept as
tensors.

Where we differ: q, the shares of the classes in the support, counts as one more vote beside
v = `votes`, which keeps every probability above 0; v that is not given is the one with the smallest
log loss on folds of the support. Trees are at most `depth` deep; the `share` of the features that a
split looks at is their square root where it is 0.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Self

import torch
from annotated_types import Ge, Gt, Le
from torch import Tensor

from metacli.algorithms.meta.episodic import frozen_features
from metacli.algorithms.transfer.transfer import Transfer, choices, filled, network_of, outputs_of
from metacli.nn.losses import membership
from metacli.nn.problem import Problem
from metacli.nn.solvers.boosting import Boosted
from metacli.nn.solvers.forest import fit_forest
from metacli.types import NO_STATE, Batch, Params, State

PARTS = ("forest.feature", "forest.threshold", "forest.value", "forest.base")
SHARES = "forest.shares"
GRID = {"votes": (3.0, 10.0, 30.0)}


@dataclass(frozen=True, kw_only=True)
class RandomForest(Transfer):
    votes: Annotated[float, Gt(0)] | None = None
    share: Annotated[float, Ge(0), Le(1)] = 0.0
    trees: Annotated[int, Ge(1)] = 50
    depth: Annotated[int, Ge(1), Le(10)] = 7

    frozen = True

    def usual(self) -> Self:
        return filled(self, {"votes": 10.0})

    def explore(
        self, problem: Problem, params: Params, support: Batch, state: State, x: Tensor
    ) -> list[tuple[Self, Tensor]]:
        frozen, features = frozen_features(problem, network_of(problem, params), support)
        query = problem.embed(frozen, x)
        kept = self.grown(problem, features, support)
        return [(one, one.answers(problem, kept, query)) for one in choices(self, GRID)]

    def adapt(
        self, problem: Problem, params: Params, support: Batch, state: State = NO_STATE
    ) -> Params:
        frozen, features = frozen_features(problem, network_of(problem, params), support)
        return {**frozen, **self.grown(problem, features, support)}

    def grown(self, problem: Problem, features: Tensor, support: Batch) -> Params:
        """The trees, and the shares of the classes [N]."""
        keep = slice(None) if support.mask is None else support.mask
        x, y = features[keep], support.y[keep]
        how = {"trees": self.trees, "depth": self.depth}
        made = fit_forest(x, y, problem.kind, share=self.share or None, **how)
        trees = (made.feature, made.threshold, made.value, made.base)
        if problem.kind == "classification":
            shares = membership(y, outputs_of(problem, support), None, x.dtype).mean(0)
        else:
            shares = x.new_zeros(1)
        return {**dict(zip(PARTS, trees, strict=True)), SHARES: shares}

    def answers(self, problem: Problem, kept: Params, features: Tensor) -> Tensor:
        """Features [M, D] to logits [M, N] or values [M, 1]."""
        found = Boosted(*(kept[name] for name in PARTS))(features.float())
        if problem.kind == "regression":
            return found
        assert self.votes is not None
        return torch.log((self.votes * found + kept[SHARES]) / (self.votes + 1))

    def predict(self, problem: Problem, adapted: Params, x: Tensor) -> Tensor:
        return self.usual().answers(problem, adapted, problem.embed(adapted, x))
