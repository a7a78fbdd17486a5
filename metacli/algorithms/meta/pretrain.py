"""Pre-training: Y. Tian, Y. Wang, D. Krishnan, J. B. Tenenbaum, P. Isola, "Rethinking Few-Shot
Image Classification: a Good Embedding Is All You Need?", ECCV 2020,
https://arxiv.org/abs/2003.11539, section 3.2, and W.-Y. Chen, Y.-C. Liu, Z. Kira, Y.-C. F. Wang,
J.-B. Huang, "A Closer Look at Few-shot Classification", ICLR 2019,
https://arxiv.org/abs/1904.04232, section 3.2.

Idea: no episodes in training. One classifier of all training classes; its features, frozen, and a
simple classifier of each support.

    direction = ∇_θ L(head(f_θ(x)), class of x),      adapt: a classifier of f_θ(S) without the head

Where we differ: a batch is what a meta-batch of episodes holds, with the labels of the pool, so it
has several images of each of its classes; the loss averages each class before the classes. No
distillation and no augmentation.

`classifier`: nearest class mean by `cosine` (times `scale`) or `euclidean` distance; `logistic`
regression, or `ridge` regression times `scale`, on features of length 1, with `penalty` on ‖W‖²
(logistic: C = 1 / penalty as in scikit-learn). `classes`: how many there are in the training pool,
filled in by the recipe's data.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

import torch
from annotated_types import Ge, Gt
from torch import Tensor
from torch.nn import functional as F

from metacli.algorithms.learner import Learner
from metacli.algorithms.meta.episodic import frozen_features, running_statistics
from metacli.algorithms.meta.inner import HEAD, count_classes, query_loss, trained
from metacli.algorithms.meta.protonet import PROTOTYPES, ProtoNet
from metacli.autodiff import mean_gradient
from metacli.nn.problem import Problem
from metacli.nn.solvers.logistic import fit_logistic
from metacli.nn.solvers.ridge import regression_of, ridge
from metacli.trees import without
from metacli.types import NO_STATE, Batch, Episode, Metrics, Params, State, Update


@dataclass(frozen=True, kw_only=True)
class Pretrain(Learner):
    classifier: Literal["cosine", "euclidean", "logistic", "ridge"] = "cosine"
    scale: Annotated[float, Gt(0)] = 10.0
    penalty: Annotated[float, Gt(0)] = 1.0
    classes: Annotated[int, Ge(1)] | None = None

    kinds = ("classification",)
    any_way = True  # the head of training is left behind
    trains_on = "classes"
    running_statistics = True
    has_together = True

    def head_size(self, way: int) -> int | None:
        return self.classes or way

    def direction(
        self, problem: Problem, params: Params, batch: Episode, state: State, rng: torch.Generator
    ) -> Update:
        def loss(theta: Params, episode: Episode) -> tuple[Tensor, Metrics]:
            phi = {**params, **theta}
            prediction = problem.predict(phi, episode.query.x, together=True)
            return query_loss(problem, prediction, episode.query)

        examples = all_examples(batch)
        gradient, metrics = mean_gradient(
            loss, trained(problem, params), Episode(examples, examples), 1
        )
        return Update(gradient, state, metrics, running_statistics(problem, params, batch))

    @property
    def traceable(self) -> bool:
        """Whether adaptation is a fixed sequence of tensor operations: logistic regression goes on
        until it has converged."""
        return self.classifier != "logistic"

    @property
    def nearest(self) -> ProtoNet | None:
        """The classifiers by class means are ProtoNet's."""
        if self.classifier == "cosine" or self.classifier == "euclidean":
            return ProtoNet(distance=self.classifier, scale=self.scale)
        return None

    def adapt(
        self, problem: Problem, params: Params, support: Batch, state: State = NO_STATE
    ) -> Params:
        trunk = without(params, "head.")
        if self.nearest is not None:
            return self.nearest.adapt(problem, trunk, support, state)
        frozen, features = frozen_features(problem, trunk, support)
        weight, bias = self._fitted(problem, F.normalize(features, dim=1), support)
        return {**frozen, HEAD[0]: weight.to(features.dtype), HEAD[1]: bias.to(features.dtype)}

    def _fitted(self, problem: Problem, features: Tensor, support: Batch) -> tuple[Tensor, Tensor]:
        """Weight [N, D] and bias [N] of a linear classifier of the support's features."""
        way = count_classes(support.y, problem)
        if self.classifier == "ridge":
            targets, weights = regression_of(problem, support, way, features.dtype)
            weight, bias = ridge(features, targets, weights, self.penalty)
            return self.scale * weight, self.scale * bias
        keep = slice(None) if support.mask is None else support.mask
        return fit_logistic(features[keep], support.y[keep], way, c=1 / self.penalty)

    def predict(self, problem: Problem, adapted: Params, x: Tensor) -> Tensor:
        return self._answer(problem, adapted, problem.embed(adapted, x))

    def predict_together(self, problem: Problem, adapted: Params, x: Tensor) -> Tensor:
        return self._answer(problem, adapted, problem.embed(adapted, x, together=True))

    def _answer(self, problem: Problem, adapted: Params, features: Tensor) -> Tensor:
        if self.nearest is not None:
            return self.nearest.logits(features, adapted[PROTOTYPES])
        return problem.read_out(adapted, F.normalize(features, dim=1))


def all_examples(batch: Episode) -> Batch:
    """Every example of a meta-batch as one batch of one task: [1, M, ...]; padding left out."""
    present = [torch.ones_like(h.y, dtype=torch.bool) if h.mask is None else h.mask for h in batch]
    halves = [(half.x[keep], half.y[keep]) for half, keep in zip(batch, present, strict=True)]
    x, y = (torch.cat(parts)[None] for parts in zip(*halves, strict=True))
    return Batch(x, y)
