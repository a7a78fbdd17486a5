"""MatchingNet: O. Vinyals, C. Blundell, T. Lillicrap, K. Kavukcuoglu, D. Wierstra, "Matching
Networks for One Shot Learning", NeurIPS 2016, https://arxiv.org/abs/1606.04080, equation 1 and
section 2.1.1.

Idea: a query attends to every example of the support; the label it reads there is the answer.

    a(x, x_m) = softmax_m s · cos(f_θ(x), f_θ(x_m)),      P(n | x) = Σ_m a(x, x_m) [y_m = n]

Where we differ: no full context embeddings (section 2.1.2), so f = g and an example's features do
not depend on the rest of the support. The cosine is multiplied by s = `scale`; the paper's is 1,
with which no class of a balanced 5-way task gets more than e² / (e² + 4) = 65 %. The logits are
log P, so that the softmax that follows every learner's prediction gives P back.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import torch
from annotated_types import Gt
from torch import Tensor
from torch.nn import functional as F

from metacli.algorithms.learner import Learner
from metacli.algorithms.meta.episodic import features_of, frozen_features, running_statistics
from metacli.algorithms.meta.inner import count_classes, query_loss, trained
from metacli.autodiff import mean_gradient
from metacli.nn.losses import membership
from metacli.nn.problem import Problem
from metacli.types import NO_STATE, Batch, Episode, Metrics, Params, State, Update

MEMORY = "matchingnet.features"  # [M, D], of length 1
MEMBER = "matchingnet.member"  # [M, N], 1 where example m belongs to class n


@dataclass(frozen=True, kw_only=True)
class MatchingNet(Learner):
    scale: Annotated[float, Gt(0)] = 10.0

    kinds = ("classification",)
    running_statistics = True
    has_together = True

    def direction(
        self, problem: Problem, params: Params, batch: Episode, state: State, rng: torch.Generator
    ) -> Update:
        way = count_classes(batch.query.y, problem)

        def task_loss(theta: Params, episode: Episode) -> tuple[Tensor, Metrics]:
            memory, query = features_of(problem, {**params, **theta}, episode)
            support = episode.support
            member = membership(support.y, way, support.mask, memory.dtype)
            logits = self.logits(query, F.normalize(memory, dim=1), member)
            return query_loss(problem, logits, episode.query)

        gradient, metrics = mean_gradient(task_loss, trained(problem, params), batch, problem.chunk)
        return Update(gradient, state, metrics, running_statistics(problem, params, batch))

    def logits(self, features: Tensor, memory: Tensor, member: Tensor) -> Tensor:
        """log P, [M, N], of features [M, D] that attend to a memory [K, D] of classes [K, N]."""
        scores = self.scale * F.normalize(features, dim=1) @ memory.T  # [M, K]
        # log 0 = −∞ takes an example out of the sums of the other classes.
        return F.log_softmax((scores[:, :, None] + member.log()).logsumexp(1), 1)

    def adapt(
        self, problem: Problem, params: Params, support: Batch, state: State = NO_STATE
    ) -> Params:
        frozen, features = frozen_features(problem, params, support)
        way = count_classes(support.y, problem)
        member = membership(support.y, way, None, features.dtype)
        keep = slice(None) if support.mask is None else support.mask
        return {**frozen, MEMORY: F.normalize(features, dim=1)[keep], MEMBER: member[keep]}

    def predict(self, problem: Problem, adapted: Params, x: Tensor) -> Tensor:
        return self.logits(problem.embed(adapted, x), adapted[MEMORY], adapted[MEMBER])

    def predict_together(self, problem: Problem, adapted: Params, x: Tensor) -> Tensor:
        features = problem.embed(adapted, x, together=True)
        return self.logits(features, adapted[MEMORY], adapted[MEMBER])
