"""Baseline++: W.-Y. Chen, Y.-C. Liu, Z. Kira, Y.-C. F. Wang, J.-B. Huang, "A Closer Look at
Few-shot Classification", ICLR 2019, https://arxiv.org/abs/1904.04232, section 3.2.

Idea: a linear classifier whose weights and features have length 1, so that a class is a direction
with little spread around it.

    logit_n(x) = τ cos(f_θ(x), w_n),      w ← w − η · Adam(∇ mean CE)

Where we differ: full batches under Adam from the class means, where the authors take mini-batches
of 4 under SGD from random weights: the same support gives the same bits. τ = `scale` (2 in the
authors' code) that is not given is picked on folds of the support; η = `lr`.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Annotated, Self

import torch
from annotated_types import Ge, Gt, Le
from torch import Tensor
from torch.nn import functional as F

from metacli.algorithms.meta.episodic import frozen_features
from metacli.algorithms.meta.inner import class_means
from metacli.algorithms.transfer.descent import BETA1, BETA2, EPS
from metacli.algorithms.transfer.transfer import Transfer, choices, filled, network_of, outputs_of
from metacli.autodiff import grad
from metacli.nn.problem import Problem
from metacli.types import NO_STATE, Batch, Params, State

DIRECTIONS = "cosine.directions"
GRID = {"scale": (2.0, 5.0, 10.0, 20.0)}


@dataclass(frozen=True, kw_only=True)
class CosineClassifier(Transfer):
    scale: Annotated[float, Gt(0)] | None = None
    lr: Annotated[float, Gt(0)] = 0.01
    steps: Annotated[int, Ge(0), Le(100_000)] = 100

    kinds = ("classification",)
    frozen = True

    def usual(self) -> Self:
        return filled(self, {"scale": 10.0})

    def explore(
        self, problem: Problem, params: Params, support: Batch, state: State, x: Tensor
    ) -> list[tuple[Self, Tensor]]:
        frozen, features = frozen_features(problem, network_of(problem, params), support)
        query = problem.embed(frozen, x)
        return [
            (one, one.logits(query, one.head(problem, features, support)[DIRECTIONS]))
            for one in choices(self, GRID)
        ]

    def adapt(
        self, problem: Problem, params: Params, support: Batch, state: State = NO_STATE
    ) -> Params:
        frozen, features = frozen_features(problem, network_of(problem, params), support)
        return {**frozen, **self.usual().head(problem, features, support)}

    def head(self, problem: Problem, features: Tensor, support: Batch) -> Params:
        """w [N, D] after all steps, each row of length 1."""
        z = F.normalize(features)
        way = outputs_of(problem, support)
        w = {DIRECTIONS: F.normalize(class_means(z, support, way))}
        first, second = torch.zeros_like(w[DIRECTIONS]), torch.zeros_like(w[DIRECTIONS])
        for step in range(1, self.steps + 1):
            slope = grad(partial(self.loss, problem, z, support), w)[DIRECTIONS]
            first, second = (
                torch.lerp(slope, first, BETA1),
                torch.lerp(slope * slope, second, BETA2),
            )
            move = (first / (1 - BETA1**step)) / ((second / (1 - BETA2**step)).sqrt() + EPS)
            w = {DIRECTIONS: w[DIRECTIONS] - self.lr * move}
        return {DIRECTIONS: F.normalize(w[DIRECTIONS])}

    def loss(self, problem: Problem, z: Tensor, support: Batch, w: Params) -> Tensor:
        return problem.loss(self.logits(z, w[DIRECTIONS]), support)

    def logits(self, features: Tensor, directions: Tensor) -> Tensor:  # [M, D] -> [M, N]
        assert self.scale is not None
        return self.scale * F.normalize(features) @ F.normalize(directions).T

    def predict(self, problem: Problem, adapted: Params, x: Tensor) -> Tensor:
        return self.usual().logits(problem.embed(adapted, x), adapted[DIRECTIONS])
