"""k nearest neighbours: E. Fix, J. Hodges, "Discriminatory Analysis. Nonparametric Discrimination:
Consistency Properties", USAF School of Aviation Medicine, report 4, 1951; T. Cover, P. Hart,
"Nearest Neighbor Pattern Classification", IEEE Transactions on Information Theory 13 (1), 1967.

Idea: what the k most similar examples of the support say, each with one vote.

    p_n(x) = (votes_n + share_n) / (k + 1),   logit_n(x) = log p_n(x);   value(x) = mean of the k y

with votes among the k smallest ‖f_θ(x) − f_θ(x_m)‖, and share_n the class's share of the support.

Where we differ: one more vote, divided as the classes are in the support, keeps every probability
above 0. Examples as far away as the k-th count as well. k, where it is not given, is the one with
the smallest log loss (squared error) on folds of the support.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Self

import torch
from annotated_types import Ge
from torch import Tensor

from metacli.algorithms.meta.episodic import frozen_features
from metacli.algorithms.transfer.transfer import Transfer, choices, filled, network_of, outputs_of
from metacli.nn.losses import membership
from metacli.nn.problem import Problem
from metacli.types import NO_STATE, Batch, Params, State

EXAMPLES, ANSWERS = "neighbours.examples", "neighbours.answers"
GRID = {"k": (1, 3, 5, 10, 20)}
SAME = 1e-5  # of the squared distance to the k-th: rounding, which differs between runtimes


@dataclass(frozen=True, kw_only=True)
class NearestNeighbours(Transfer):
    k: Annotated[int, Ge(1)] | None = None

    frozen = True

    def usual(self) -> Self:
        return filled(self, {"k": 5})

    def explore(
        self, problem: Problem, params: Params, support: Batch, state: State, x: Tensor
    ) -> list[tuple[Self, Tensor]]:
        frozen, features = frozen_features(problem, network_of(problem, params), support)
        query, kept = problem.embed(frozen, x), stored(problem, features, support)
        apart = apart_of(query, kept[EXAMPLES])
        return [(one, one.answers(problem, kept, apart)) for one in choices(self, GRID)]

    def adapt(
        self, problem: Problem, params: Params, support: Batch, state: State = NO_STATE
    ) -> Params:
        frozen, features = frozen_features(problem, network_of(problem, params), support)
        return {**frozen, **stored(problem, features, support)}

    def answers(self, problem: Problem, kept: Params, distances: Distances) -> Tensor:
        """Logits [M, N] or values [M, outputs] at such distances from the examples; k is given."""
        assert self.k is not None
        (apart, squares), answers = distances, kept[ANSWERS]
        k = min(self.k, len(answers))
        last = apart.topk(k, dim=1, largest=False).values[:, -1:]
        near = (apart <= last + SAME * (last + squares)).to(answers.dtype)  # [M, support]
        mean = near @ answers / near.sum(1, keepdim=True)
        if problem.kind == "regression":
            return mean
        return torch.log((k * mean + answers.mean(0)) / (k + 1))

    def predict(self, problem: Problem, adapted: Params, x: Tensor) -> Tensor:
        apart = apart_of(problem.embed(adapted, x), adapted[EXAMPLES])
        return self.usual().answers(problem, adapted, apart)


Distances = tuple[Tensor, Tensor]
"""‖a - b‖² of each two, and ‖a‖² + ‖b‖², of which rounding is a share: both [M, support]."""


def apart_of(features: Tensor, examples: Tensor) -> Distances:
    """Of features [M, D] and examples [support, D]."""
    squares = features.square().sum(1, keepdim=True) + examples.square().sum(1)
    return (squares - 2 * features @ examples.T).clamp(min=0), squares


def stored(problem: Problem, features: Tensor, support: Batch) -> Params:
    """The examples [support, D] and what each says, one-hot or its values."""
    keep = slice(None) if support.mask is None else support.mask
    y = support.y[keep]
    if problem.kind == "classification":
        y = membership(y, outputs_of(problem, support), None, features.dtype)
    return {EXAMPLES: features[keep], ANSWERS: y.to(features.dtype)}
