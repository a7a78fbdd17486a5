"""SimpleShot: Y. Wang, W.-L. Chao, K. Weinberger, L. van der Maaten, "SimpleShot: Revisiting
Nearest-Neighbor Classification for Few-Shot Learning", https://arxiv.org/abs/1911.04623, equations
1 to 3.

Idea: the nearest class mean of features that were centred and brought to length 1.

    z = (f_θ(x) − μ) / ‖f_θ(x) − μ‖,   c_n = mean of z over class n,   logit_n(x) = −s ‖z − c_n‖²

Where we differ: μ is the mean of the support's class means where the paper takes that of the base
classes, which a network that was trained elsewhere does not bring along. `transform` is the paper's
CL2N (`centred`) or L2N (`length`, μ = 0); it and s = `scale`, which no label depends on, are picked
on folds of the support where they are not given.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal, Self

import torch
from annotated_types import Gt
from torch import Tensor
from torch.nn import functional as F

from metacli.algorithms.meta.episodic import frozen_features
from metacli.algorithms.meta.inner import class_means
from metacli.algorithms.transfer.transfer import Transfer, choices, filled, network_of, outputs_of
from metacli.nn.problem import Problem
from metacli.types import NO_STATE, Batch, Params, State

CENTRE, PROTOTYPES = "simpleshot.centre", "simpleshot.prototypes"
GRID = {"transform": ("length", "centred"), "scale": (1.5, 3.0, 6.0, 12.0, 24.0)}


@dataclass(frozen=True, kw_only=True)
class SimpleShot(Transfer):
    transform: Literal["length", "centred"] | None = None
    scale: Annotated[float, Gt(0)] | None = None

    kinds = ("classification",)
    frozen = True

    def usual(self) -> Self:
        return filled(self, {"transform": "centred", "scale": 6.0})

    def explore(
        self, problem: Problem, params: Params, support: Batch, state: State, x: Tensor
    ) -> list[tuple[Self, Tensor]]:
        frozen, features = frozen_features(problem, network_of(problem, params), support)
        query = problem.embed(frozen, x)
        return [
            (one, one.logits(query, one.head(problem, features, support)))
            for one in choices(self, GRID)
        ]

    def adapt(
        self, problem: Problem, params: Params, support: Batch, state: State = NO_STATE
    ) -> Params:
        frozen, features = frozen_features(problem, network_of(problem, params), support)
        return {**frozen, **self.usual().head(problem, features, support)}

    def head(self, problem: Problem, features: Tensor, support: Batch) -> Params:
        """μ [D] and the prototypes [N, D]."""
        way = outputs_of(problem, support)
        means = class_means(features, support, way).mean(0)
        centre = means if self.transform == "centred" else torch.zeros_like(means)
        return {
            CENTRE: centre,
            PROTOTYPES: class_means(F.normalize(features - centre), support, way),
        }

    def logits(self, features: Tensor, head: Params) -> Tensor:  # [M, D] -> [M, N]
        z, prototypes = F.normalize(features - head[CENTRE]), head[PROTOTYPES]
        assert self.scale is not None
        # ‖z‖ is 1 or 0, so the expanded square loses next to nothing to cancellation.
        squares = z.square().sum(1, keepdim=True) + prototypes.square().sum(1)
        return -self.scale * (squares - 2 * z @ prototypes.T)

    def predict(self, problem: Problem, adapted: Params, x: Tensor) -> Tensor:
        return self.usual().logits(problem.embed(adapted, x), adapted)
