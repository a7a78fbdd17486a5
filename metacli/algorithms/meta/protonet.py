"""ProtoNet: J. Snell, K. Swersky, R. Zemel, "Prototypical Networks for Few-shot Learning", NeurIPS
2017, https://arxiv.org/abs/1703.05175, equations 1 and 2.

Idea: the mean feature of a class's support is its prototype; a query belongs to the nearest one.

    c_n = mean of f_θ(x) over the support of class n,      logit_n(x) = −d(f_θ(x), c_n)

Where we differ: with `norm: batch` support and query are normalised apart, so that an answer never
depends on the other queries; the authors' joint batch with averaged statistics at test is `norm:
running`. `distance: cosine` is scale · cos(f, c), the alternative of the paper's section 2.7 with
a temperature.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

import torch
from annotated_types import Gt
from torch import Tensor
from torch.nn import functional as F

from metacli.algorithms.learner import Learner
from metacli.algorithms.meta.episodic import features_of, frozen_features, running_statistics
from metacli.algorithms.meta.inner import class_means, count_classes, outer_gradient, query_loss
from metacli.nn.problem import Problem
from metacli.types import NO_STATE, Batch, Episode, Metrics, Params, State, Update

PROTOTYPES = "protonet.prototypes"


@dataclass(frozen=True, kw_only=True)
class ProtoNet(Learner):
    distance: Literal["euclidean", "cosine"] = "euclidean"
    scale: Annotated[float, Gt(0)] = 10.0

    kinds = ("classification",)
    running_statistics = True
    has_together = True
    compiles = True

    def direction(
        self, problem: Problem, params: Params, batch: Episode, state: State, rng: torch.Generator
    ) -> Update:
        way = count_classes(batch.query.y, problem)

        def task_loss(at: Problem, every: Params, episode: Episode) -> tuple[Tensor, Metrics]:
            support, query = features_of(at, every, episode)
            prediction = self.logits(query, class_means(support, episode.support, way))
            return query_loss(at, prediction, episode.query)

        gradient, metrics = outer_gradient((self, way), task_loss, problem, params, batch)
        return Update(gradient, state, metrics, running_statistics(problem, params, batch))

    def logits(self, features: Tensor, prototypes: Tensor) -> Tensor:  # [M, D], [N, D] -> [M, N]
        if self.distance == "cosine":
            return self.scale * F.normalize(features, dim=1) @ F.normalize(prototypes, dim=1).T
        # The direct difference: the expanded square loses a factor of ten to cancellation.
        return -(features[:, None] - prototypes).square().sum(-1)

    def adapt(
        self, problem: Problem, params: Params, support: Batch, state: State = NO_STATE
    ) -> Params:
        frozen, features = frozen_features(problem, params, support)
        way = count_classes(support.y, problem)
        return {**frozen, PROTOTYPES: class_means(features, support, way)}

    def predict(self, problem: Problem, adapted: Params, x: Tensor) -> Tensor:
        return self.logits(problem.embed(adapted, x), adapted[PROTOTYPES])

    def predict_together(self, problem: Problem, adapted: Params, x: Tensor) -> Tensor:
        return self.logits(problem.embed(adapted, x, together=True), adapted[PROTOTYPES])
