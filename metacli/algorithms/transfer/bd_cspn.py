"""BD-CSPN: J. Liu, L. Song, Y. Qin, "Prototype Rectification for Few-Shot Learning", ECCV 2020,
https://arxiv.org/abs/1911.10713, equations 2 to 6.

Idea: class means of a few examples are off; queries that are answered together, of which the most
certain ones count as examples too, put them right.

    logit_n(x) = ε cos(z, P_n),   z = f_θ(x) / ‖f_θ(x)‖,   P_n = mean of z over the support of n
    together:  z ← z + ξ for queries, ξ = mean of the support's z − mean of the queries' z
               P_n ← Σ_i w_i z_i over the support of n and the Z queries most surely of n,
               w_i = softmax over these of ε cos(z_i, P_n)

Where we differ: answers for one query at a time are those of the first line, as every transfer
method's are; only what asks for answers together (`predict --together`) gets the other two. Then
logits use the new P. ε = `scale` and Z = `most`; ε that is not given is picked on folds of the
support by answers for one query at a time.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Self

import torch
from annotated_types import Ge, Gt
from torch import Tensor
from torch.nn import functional as F

from metacli.algorithms.meta.episodic import frozen_features
from metacli.algorithms.transfer.transfer import Transfer, choices, filled, network_of, outputs_of
from metacli.nn.losses import membership
from metacli.nn.problem import Problem
from metacli.types import NO_STATE, Batch, Params, State

EXAMPLES, LABELS = "together.examples", "together.labels"
GRID = {"scale": (5.0, 10.0, 20.0)}


@dataclass(frozen=True, kw_only=True)
class BDCSPN(Transfer):
    scale: Annotated[float, Gt(0)] | None = None
    most: Annotated[int, Ge(1)] = 8

    kinds = ("classification",)
    frozen = True
    has_together = True

    def usual(self) -> Self:
        return filled(self, {"scale": 10.0})

    def explore(
        self, problem: Problem, params: Params, support: Batch, state: State, x: Tensor
    ) -> list[tuple[Self, Tensor]]:
        frozen, features = frozen_features(problem, network_of(problem, params), support)
        query, kept = problem.embed(frozen, x), stored(problem, features, support)
        return [(one, one.logits(query, prototypes(kept))) for one in choices(self, GRID)]

    def adapt(
        self, problem: Problem, params: Params, support: Batch, state: State = NO_STATE
    ) -> Params:
        frozen, features = frozen_features(problem, network_of(problem, params), support)
        return {**frozen, **stored(problem, features, support)}

    def predict(self, problem: Problem, adapted: Params, x: Tensor) -> Tensor:
        return self.usual().logits(problem.embed(adapted, x), prototypes(adapted))

    def predict_together(self, problem: Problem, adapted: Params, x: Tensor) -> Tensor:
        one = self.usual()
        assert one.scale is not None
        support, y = adapted[EXAMPLES], adapted[LABELS]
        query = F.normalize(problem.embed(adapted, x))
        query = query + (support.mean(0) - query.mean(0))
        first = prototypes(adapted)
        chances = torch.softmax(one.logits(query, first), 1)
        chosen = surest(chances, self.most)  # [M, N], 1 where a query counts for a class
        every, counts = torch.cat([support, query]), torch.cat([y, chosen])
        close = torch.where(counts > 0, one.logits(every, first), -torch.inf)
        return one.logits(query, torch.softmax(close, 0).T @ every)

    def logits(self, features: Tensor, means: Tensor) -> Tensor:  # [M, D] -> [M, N]
        assert self.scale is not None
        return self.scale * F.normalize(features) @ F.normalize(means).T


def stored(problem: Problem, features: Tensor, support: Batch) -> Params:
    """The support's features of length 1 [M, D], and their classes, one-hot [M, N]."""
    keep = slice(None) if support.mask is None else support.mask
    y = membership(support.y[keep], outputs_of(problem, support), None, features.dtype)
    return {EXAMPLES: F.normalize(features[keep]), LABELS: y}


def prototypes(kept: Params) -> Tensor:
    """The mean of each class, [N, D]."""
    y = kept[LABELS]
    return y.T @ kept[EXAMPLES] / y.sum(0)[:, None]


def surest(chances: Tensor, most: int) -> Tensor:
    """1 for the queries that each class, where it is their likeliest, is surest of: [M, N]."""
    best = F.one_hot(chances.argmax(1), chances.shape[1]).to(chances.dtype)
    theirs = chances * best
    last = theirs.topk(min(most, len(chances)), dim=0).values[-1]
    return best * (theirs >= last)
