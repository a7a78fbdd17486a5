"""Logistic regression on features of length 1: Y. Tian, Y. Wang, D. Krishnan, J. Tenenbaum,
P. Isola, "Rethinking Few-Shot Image Classification: a Good Embedding Is All You Need?", ECCV 2020,
https://arxiv.org/abs/2003.11539, section 3.3 and table 5.

Idea: only the direction of a pretrained network's feature says what is in an image.

    z = f_θ(x) / ‖f_θ(x)‖,      min_W  C Σ CE(Wz + b, y) + ½ ‖W‖²

which is scikit-learn's LogisticRegression(C) on the same z; the intercept is free.

Where we differ: C = `c`; not given, it is the one with the smallest log loss on folds of the
support. A feature of zeros stays as it is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Self

from annotated_types import Gt
from torch import Tensor
from torch.nn import functional as F

from metacli.algorithms.meta.episodic import frozen_features
from metacli.algorithms.meta.inner import HEAD
from metacli.algorithms.transfer.transfer import Transfer, choices, filled, network_of, outputs_of
from metacli.nn.problem import Problem
from metacli.nn.solvers.logistic import fit_logistics
from metacli.types import NO_STATE, Batch, Params, State

GRID = {"c": (1.0, 10.0, 100.0, 1000.0)}
PRECISION = 1e-4  # of the gradient, in units of C: the loss is next to its minimum


@dataclass(frozen=True, kw_only=True)
class Logistic(Transfer):
    c: Annotated[float, Gt(0)] | None = None

    kinds = ("classification",)
    frozen = True

    def usual(self) -> Self:
        return filled(self, {"c": 100.0})

    def explore(
        self, problem: Problem, params: Params, support: Batch, state: State, x: Tensor
    ) -> list[tuple[Self, Tensor]]:
        frozen, features = frozen_features(problem, network_of(problem, params), support)
        query = F.normalize(problem.embed(frozen, x))
        tried = choices(self, GRID)
        heads = self.heads(problem, features, support, tried)
        return [(one, problem.read_out(head, query)) for one, head in heads]

    def adapt(
        self, problem: Problem, params: Params, support: Batch, state: State = NO_STATE
    ) -> Params:
        frozen, features = frozen_features(problem, network_of(problem, params), support)
        ((_, head),) = self.heads(problem, features, support, [self.usual()])
        return {**frozen, **head}

    def heads(
        self, problem: Problem, features: Tensor, support: Batch, tried: Sequence[Self]
    ) -> list[tuple[Self, Params]]:
        """W [N, D] and b [N] of each, C being given."""
        keep = slice(None) if support.mask is None else support.mask
        z, y = F.normalize(features[keep].double()), support.y[keep]
        precisions = {one.c: PRECISION * one.c for one in tried if one.c is not None}
        solved = fit_logistics(z, y, outputs_of(problem, support), precisions)
        return [
            (one, dict(zip(HEAD, (part.to(features.dtype) for part in solved[one.c]), strict=True)))
            for one in tried
            if one.c is not None
        ]

    def predict(self, problem: Problem, adapted: Params, x: Tensor) -> Tensor:
        return problem.read_out(adapted, F.normalize(problem.embed(adapted, x)))
