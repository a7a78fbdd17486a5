"""RelationNet: F. Sung, Y. Yang, L. Zhang, T. Xiang, P. H. S. Torr, T. M. Hospedales, "Learning to
Compare: Relation Network for Few-Shot Learning", CVPR 2018, https://arxiv.org/abs/1711.06025,
equations 1 to 3.

Idea: not only the features are learned but also how they are compared.

    r_n(x) = sigmoid(g([c_n, f_θ(x)])),      c_n = Σ of f_θ over the support of class n
    direction = ∇_{θ,g} (1/B) Σ_i mean over queries and classes of (r_n(x) − [y = n])²

Where we differ: features are vectors here, where the paper compares feature maps by two
convolutions and two layers: g is two layers with `hidden` units between them. c_n is the mean,
which a class's number of examples does not lengthen. The squared error is averaged over the queries
of each class before the classes. What `predict` returns is g before the sigmoid.

g = the learned numbers `relationnet.0.*` [H, 2 D] and `relationnet.1.*` [1, H].
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import torch
from annotated_types import Ge
from torch import Tensor
from torch.nn import functional as F

from metacli.algorithms.learner import Learner
from metacli.algorithms.meta.cavia import seed_of
from metacli.algorithms.meta.episodic import features_of, frozen_features, running_statistics
from metacli.algorithms.meta.inner import class_means, count_classes, query_loss, trained
from metacli.autodiff import mean_gradient
from metacli.errors import UsageProblem
from metacli.nn.losses import class_mean, membership
from metacli.nn.problem import Problem
from metacli.trees import select
from metacli.types import NO_STATE, Batch, Episode, Metrics, Params, State, Update

OWN = "relationnet."
NAMES = (f"{OWN}0.weight", f"{OWN}0.bias", f"{OWN}1.weight", f"{OWN}1.bias")
MEANS = f"{OWN}means"  # [N, D]


@dataclass(frozen=True, kw_only=True)
class RelationNet(Learner):
    hidden: Annotated[int, Ge(1)] = 64

    kinds = ("classification",)
    running_statistics = True
    has_together = True

    def init(self, problem: Problem, params: Params) -> tuple[Params, State]:
        if not problem.features:
            raise UsageProblem(
                "RelationNet compares features, and their number is not known",
                hint="features=D in Problem.from_module",
            )
        rng, like = torch.Generator().manual_seed(seed_of(params)), next(iter(params.values()))
        sizes = ((self.hidden, 2 * problem.features), (1, self.hidden))
        found: Params = {}
        for (weight, bias), (rows, columns) in zip((NAMES[:2], NAMES[2:]), sizes, strict=True):
            drawn = 2 * torch.rand(rows, columns + 1, generator=rng) - 1
            found[weight], found[bias] = (columns**-0.5 * drawn).to(like).split([columns, 1], 1)
            found[bias] = found[bias][:, 0].clone()
            found[weight] = found[weight].clone()
        return found, {}

    def relations(self, params: Params, features: Tensor, means: Tensor) -> Tensor:
        """g of features [M, D] and class means [N, D], before the sigmoid: [M, N]."""
        wide = (features.shape[0], *means.shape)  # `len` would fix it in an export
        pairs = torch.cat([means.expand(wide), features[:, None].expand(wide)], -1)
        hidden = torch.relu(F.linear(pairs, params[NAMES[0]], params[NAMES[1]]))
        return F.linear(hidden, params[NAMES[2]], params[NAMES[3]])[..., 0]

    def direction(
        self, problem: Problem, params: Params, batch: Episode, state: State, rng: torch.Generator
    ) -> Update:
        way = count_classes(batch.query.y, problem)

        def task_loss(theta: Params, episode: Episode) -> tuple[Tensor, Metrics]:
            phi = {**params, **theta}
            support, query = features_of(problem, phi, episode)
            scores = self.relations(phi, query, class_means(support, episode.support, way))
            wanted = membership(episode.query.y, way, None, scores.dtype)
            errors = (torch.sigmoid(scores) - wanted).square().mean(1)
            _, metrics = query_loss(problem, scores, episode.query)
            loss = class_mean(errors, episode.query, way)
            return loss, {**metrics, "query_loss": loss}

        moved = trained(problem, params, OWN)
        gradient, metrics = mean_gradient(task_loss, moved, batch, problem.chunk)
        return Update(gradient, state, metrics, running_statistics(problem, params, batch))

    def adapt(
        self, problem: Problem, params: Params, support: Batch, state: State = NO_STATE
    ) -> Params:
        frozen, features = frozen_features(problem, params, support)
        means = class_means(features, support, count_classes(support.y, problem))
        return {**frozen, **select(params, (OWN,)), MEANS: means}

    def predict(self, problem: Problem, adapted: Params, x: Tensor) -> Tensor:
        return self.relations(adapted, problem.embed(adapted, x), adapted[MEANS])

    def predict_together(self, problem: Problem, adapted: Params, x: Tensor) -> Tensor:
        features = problem.embed(adapted, x, together=True)
        return self.relations(adapted, features, adapted[MEANS])
