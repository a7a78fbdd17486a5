"""P>M>F: S. X. Hu, D. Li, J. Stühmer, M. Kim, T. M. Hospedales, "Pushing the Limits of Simple
Pipelines for Few-Shot Learning: External Data and Fine-Tuning Make a Difference", CVPR 2022,
https://arxiv.org/abs/2204.07305, section 3 and algorithm 1.

Idea: pre-train (P) on whatever there is, meta-train (M) as ProtoNet, and at meta-test fine-tune (F)
the network on each support, whose augmented copies are the queries.

    φ ← φ − η · Adam(∇_φ L(x̃, y; c(φ))),   c_n(φ) = mean of f_φ over the support of class n

and the logits are ProtoNet's, of the prototypes and the features that φ gives.

Where we differ: an augmented example x̃ of images is mirrored and moved by up to an eighth of its
side. Where rows are features of a frozen encoder, whose pixels are not at hand any more, or tokens
of a text, each number is left out (0) with probability `drop`, and what is fine-tuned is what
stands on the encoder: the encoder itself, which the paper meta-trains and fine-tunes, stays. The
draws are the same for every support, so that a support gives the same bits. The paper picks η for
each domain on a few validation tasks, 0 among the values; here it is a field. The distance is
ProtoNet's, Euclidean unless `cosine` is asked for; the paper's is cosine with a learned
temperature, which features of one learned length nearly are.

η = `lr`.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Annotated, Literal

import torch
from annotated_types import Ge, Gt, Le, Lt
from torch import Tensor

from metacli.algorithms.learner import Learner
from metacli.algorithms.meta.episodic import frozen_features
from metacli.algorithms.meta.inner import class_means, count_classes, movable, rule_path
from metacli.algorithms.meta.maml_adam import Adam
from metacli.algorithms.meta.protonet import PROTOTYPES, ProtoNet
from metacli.nn.problem import Problem
from metacli.trees import detach
from metacli.types import NO_STATE, Batch, Episode, Params, State, Update

BETA1, BETA2, EPS = 0.9, 0.999, 1e-8
MOVES = 8  # an image is moved by up to this part of its side


@dataclass(frozen=True, kw_only=True)
class PMF(Learner):
    lr: Annotated[float, Ge(0)] = 1e-3
    steps: Annotated[int, Ge(0), Le(1000)] = 50
    drop: Annotated[float, Ge(0), Lt(1)] = 0.3
    distance: Literal["euclidean", "cosine"] = "euclidean"
    scale: Annotated[float, Gt(0)] = 10.0

    kinds = ("classification",)
    running_statistics = True
    traceable = False  # as many masks as there are examples

    @property
    def protonet(self) -> ProtoNet:
        """What meta-trains it, and predicts."""
        return ProtoNet(distance=self.distance, scale=self.scale)

    def direction(
        self, problem: Problem, params: Params, batch: Episode, state: State, rng: torch.Generator
    ) -> Update:
        return self.protonet.direction(problem, params, batch, state, rng)

    def adapt(
        self, problem: Problem, params: Params, support: Batch, state: State = NO_STATE
    ) -> Params:
        moved = self.tuning(problem, params, support)[-1] if self.lr and self.steps else {}
        return self.with_prototypes(problem, {**params, **moved}, support)

    def with_prototypes(self, problem: Problem, tuned: Params, support: Batch) -> Params:
        """A network with the class means of a support under it."""
        frozen, features = frozen_features(problem, tuned, support)
        way = count_classes(support.y, problem)
        return {**frozen, PROTOTYPES: class_means(features, support, way)}

    def tuning(self, problem: Problem, params: Params, support: Batch) -> list[Params]:
        """What moves of θ, after 0, 1, 2, ... steps on this support."""
        way, draws = count_classes(support.y, problem), torch.Generator().manual_seed(0)
        views = [augmented(support.x, self.drop, draws) for _ in range(self.steps)]
        left = iter(views)
        together = problem.statistics == "support"
        theta = detach(params)

        def loss(phi: Params) -> Tensor:
            embed = partial(problem.embed, {**theta, **phi}, together=together)
            prototypes = class_means(embed(support.x), support, way)
            logits = self.protonet.logits(embed(next(left)), prototypes)
            return problem.loss(logits, support)

        rule = Adam(self.lr, BETA1, BETA2, EPS)
        begin = movable(problem, theta)
        path = rule_path(loss, begin, rule, steps=self.steps, first_order=True)
        return [detach(one) for one in path]

    def predict(self, problem: Problem, adapted: Params, x: Tensor) -> Tensor:
        return self.protonet.predict(problem, adapted, x)


def augmented(x: Tensor, drop: float, draws: torch.Generator) -> Tensor:
    """Other examples of the same classes: images [M, C, H, W] mirrored and moved, rows of numbers
    [M, ...] with some of them left out."""
    if x.dim() != 4:
        kept = torch.rand(x.shape, generator=draws) >= drop
        return x * kept.to(x.device, x.dtype)
    mirrored = torch.rand(len(x), generator=draws) < 0.5
    most = x.shape[-1] // MOVES
    moves = torch.randint(-most, most + 1, (len(x), 2), generator=draws).tolist()
    views = [
        torch.roll(one.flip(-1) if turn else one, move, (-2, -1))
        for one, turn, move in zip(x, mirrored.tolist(), moves, strict=True)
    ]
    return torch.stack(views)
