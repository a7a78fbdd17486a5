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

from collections.abc import Iterable, Iterator, Sequence
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
from metacli.nn.solvers.logistic_each import Asked, answers_each
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

    together = True

    def explore_each(
        self, problem: Problem, params: Params, asked: Iterable[tuple[Batch, Tensor]], state: State
    ) -> list[list[tuple[Self, Tensor]]]:
        tried = choices(self, GRID)

        def reduced() -> Iterator[Asked]:
            for part, x in asked:
                frozen, features = frozen_features(problem, network_of(problem, params), part)
                query = F.normalize(problem.embed(frozen, x).double())
                yield Asked(*units_of(features, part), query)

        answers = answers_each(reduced(), precisions_of(tried))
        return [[(one, logits[one.c]) for one in tried if one.c is not None] for logits in answers]

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
        z, y = units_of(features, support)
        solved = fit_logistics(z, y, outputs_of(problem, support), precisions_of(tried))
        return [
            (one, dict(zip(HEAD, (part.to(features.dtype) for part in solved[one.c]), strict=True)))
            for one in tried
            if one.c is not None
        ]

    def predict(self, problem: Problem, adapted: Params, x: Tensor) -> Tensor:
        return problem.read_out(adapted, F.normalize(problem.embed(adapted, x)))


def units_of(features: Tensor, support: Batch) -> tuple[Tensor, Tensor]:
    """Features of length 1, float64 [M, D], and labels of the examples that are there."""
    keep = slice(None) if support.mask is None else support.mask
    return F.normalize(features[keep].double()), support.y[keep]


def precisions_of(tried: Sequence[Logistic]) -> dict[float, float]:
    return {one.c: PRECISION * one.c for one in tried if one.c is not None}
