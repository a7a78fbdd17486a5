"""Prototypes of a source's features: J. Snell, K. Swersky, R. Zemel, NeurIPS 2017,
https://arxiv.org/abs/1703.05175, equations 1 and 2, on a network that was trained in any way;
with cosine distance the "nearest centroid" of W.-Y. Chen et al., ICLR 2019,
https://arxiv.org/abs/1904.04232.

Idea: the class means of the support's features; a row belongs to the nearest one.

    c_n = mean of f_θ(x) over the support of class n,      logit_n(x) = −d(f_θ(x), c_n)

Where we differ: nothing from ProtoNet, which does the work. `distance` that is not given is picked
on folds of the support; `scale` is that of the cosine.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal, Self

from annotated_types import Gt
from torch import Tensor

from metacli.algorithms.meta.episodic import frozen_features
from metacli.algorithms.meta.inner import class_means
from metacli.algorithms.meta.protonet import ProtoNet
from metacli.algorithms.transfer.transfer import Transfer, choices, filled, network_of, outputs_of
from metacli.nn.problem import Problem
from metacli.types import NO_STATE, Batch, Params, State

GRID = {"distance": ("euclidean", "cosine")}


@dataclass(frozen=True, kw_only=True)
class Prototype(Transfer):
    distance: Literal["euclidean", "cosine"] | None = None
    scale: Annotated[float, Gt(0)] = 10.0

    kinds = ("classification",)
    frozen = True

    def usual(self) -> Self:
        return filled(self, {"distance": "euclidean"})

    @property
    def nearest(self) -> ProtoNet:
        return ProtoNet(distance=self.usual().distance or "euclidean", scale=self.scale)

    def explore(
        self, problem: Problem, params: Params, support: Batch, state: State, x: Tensor
    ) -> list[tuple[Self, Tensor]]:
        frozen, features = frozen_features(problem, network_of(problem, params), support)
        means = class_means(features, support, outputs_of(problem, support))
        query = problem.embed(frozen, x)
        return [(one, one.nearest.logits(query, means)) for one in choices(self, GRID)]

    def adapt(
        self, problem: Problem, params: Params, support: Batch, state: State = NO_STATE
    ) -> Params:
        return self.nearest.adapt(problem, network_of(problem, params), support, state)

    def predict(self, problem: Problem, adapted: Params, x: Tensor) -> Tensor:
        return self.nearest.predict(problem, adapted, x)
