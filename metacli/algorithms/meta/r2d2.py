"""R2-D2: L. Bertinetto, J. F. Henriques, P. H. S. Torr, A. Vedaldi, "Meta-learning with
differentiable closed-form solvers", ICLR 2019, https://arxiv.org/abs/1805.08136, equations 4 to 6.

Idea: the head is a ridge regression on the features of the support. Its solution is closed, so the
features and the penalty are trained through it.

    W = (ZᵀZ + λI)⁻¹ ZᵀY = Zᵀ(ZZᵀ + λI)⁻¹Y,      logits(x) = a · Wᵀf_θ(x) + b

Where we differ: the squared error is averaged over a class's examples and then over the classes,
which is the authors' division of Z and Y by √(NK) where classes are balanced; so λ means the same
for every shot and a class with many examples does not outweigh the others. As in the authors' code
Z has a column of ones, penalised like the rest. For a regression it is ridge regression on the
features: the targets are the numbers themselves, and there is no a or b.

Y: one-hot classes; λ = exp(r2d2.log_lambda), a = r2d2.scale, b = r2d2.bias, all learned, from
`init_lambda`, `init_scale` and 0. `solve`: the form with a matrix of features (`features`), of
examples (`examples`, Woodbury's identity), or the smaller one (`auto`).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated

import torch
from annotated_types import Gt
from torch import Tensor

from metacli.algorithms.learner import Learner
from metacli.algorithms.meta.episodic import features_of, frozen_features, running_statistics
from metacli.algorithms.meta.inner import HEAD, count_classes, outer_gradient, query_loss
from metacli.nn.problem import Problem
from metacli.nn.solvers.ridge import Solve, regression_of, ridge
from metacli.trees import without
from metacli.types import NO_STATE, Batch, Episode, Metrics, Params, State, Update

OWN = "r2d2."


@dataclass(frozen=True, kw_only=True)
class R2D2(Learner):
    init_lambda: Annotated[float, Gt(0)] = 1.0
    init_scale: Annotated[float, Gt(0)] = 10.0
    solve: Solve = "auto"

    running_statistics = True
    has_together = True
    compiles = True

    def init(self, problem: Problem, params: Params) -> tuple[Params, State]:
        like = next(iter(params.values()))
        own = {"r2d2.log_lambda": math.log(self.init_lambda)}
        if problem.kind == "classification":
            own |= {"r2d2.scale": self.init_scale, "r2d2.bias": 0.0}
        return {name: like.new_tensor(value) for name, value in own.items()}, {}

    def direction(
        self, problem: Problem, params: Params, batch: Episode, state: State, rng: torch.Generator
    ) -> Update:
        way = count_classes(batch.query.y, problem)

        def task_loss(at: Problem, every: Params, episode: Episode) -> tuple[Tensor, Metrics]:
            support, query = features_of(at, every, episode)
            head = self.head(at, every, support, episode.support, way)
            return query_loss(at, at.read_out(head, query), episode.query)

        gradient, metrics = outer_gradient((self, way), task_loss, problem, params, batch, OWN)
        return Update(gradient, state, metrics, running_statistics(problem, params, batch))

    def head(
        self, problem: Problem, params: Params, features: Tensor, support: Batch, way: int
    ) -> Params:
        """The linear head that a support [M, D] gives: a · W and b as one map."""
        targets, weights = regression_of(problem, support, way, features.dtype)
        penalty = params["r2d2.log_lambda"].exp()
        weight, bias = ridge(features, targets, weights, penalty, self.solve)
        if problem.kind == "classification":
            scale = params["r2d2.scale"]
            weight, bias = scale * weight, scale * bias + params["r2d2.bias"]
        return {HEAD[0]: weight, HEAD[1]: bias}

    def adapt(
        self, problem: Problem, params: Params, support: Batch, state: State = NO_STATE
    ) -> Params:
        frozen, features = frozen_features(problem, params, support)
        way = count_classes(support.y, problem)
        return {
            **without(frozen, OWN),
            **self.head(problem, frozen, features, support, way),
        }

    def predict(self, problem: Problem, adapted: Params, x: Tensor) -> Tensor:
        return problem.predict(adapted, x)

    def predict_together(self, problem: Problem, adapted: Params, x: Tensor) -> Tensor:
        return problem.predict(adapted, x, together=True)
