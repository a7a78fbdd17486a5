"""Least squares on features of length 1: L. Bertinetto, J. Henriques, P. Torr, A. Vedaldi,
"Meta-learning with differentiable closed-form solvers", ICLR 2019,
https://arxiv.org/abs/1805.08136, equations 2 to 4, on a network that was trained in any way.

Idea: a ridge regression to one-hot labels, solved at once, whose values are taken for logits.

    z = f_θ(x) / ‖f_θ(x)‖,   min_W Σ ‖Wz + b − y‖² + λ ‖W‖²,   logits(x) = s (Wz + b)

Where we differ: features have length 1; the intercept is free; λ = `penalty` and s = `scale` that
are not given are those with the smallest log loss on folds of the support, where the paper learns
them on other tasks.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Self

import torch
from annotated_types import Gt
from torch import Tensor
from torch.nn import functional as F

from metacli.algorithms.meta.episodic import frozen_features
from metacli.algorithms.meta.inner import HEAD
from metacli.algorithms.transfer.linear_probe import centred_ridge
from metacli.algorithms.transfer.transfer import Transfer, choices, filled, network_of, outputs_of
from metacli.nn.losses import membership
from metacli.nn.problem import Problem
from metacli.types import NO_STATE, Batch, Params, State

GRID = {"penalty": (0.01, 0.1, 1.0, 10.0), "scale": (3.0, 6.0, 12.0, 24.0)}


@dataclass(frozen=True, kw_only=True)
class Ridge(Transfer):
    penalty: Annotated[float, Gt(0)] | None = None
    scale: Annotated[float, Gt(0)] | None = None

    kinds = ("classification",)
    frozen = True

    def usual(self) -> Self:
        return filled(self, {"penalty": 0.1, "scale": 12.0})

    def explore(
        self, problem: Problem, params: Params, support: Batch, state: State, x: Tensor
    ) -> list[tuple[Self, Tensor]]:
        frozen, features = frozen_features(problem, network_of(problem, params), support)
        query = F.normalize(problem.embed(frozen, x))
        found: list[tuple[Self, Tensor]] = []
        solved: dict[float, Tensor] = {}
        for one in choices(self, GRID):
            assert one.penalty is not None
            assert one.scale is not None
            if one.penalty not in solved:
                head = one.head(problem, features, support)
                solved[one.penalty] = problem.read_out(head, query) / one.scale
            found.append((one, one.scale * solved[one.penalty]))
        return found

    def adapt(
        self, problem: Problem, params: Params, support: Batch, state: State = NO_STATE
    ) -> Params:
        frozen, features = frozen_features(problem, network_of(problem, params), support)
        return {**frozen, **self.usual().head(problem, features, support)}

    def head(self, problem: Problem, features: Tensor, support: Batch) -> Params:
        """s W [N, D] and s b [N]; λ and s are given."""
        assert self.penalty is not None
        assert self.scale is not None
        keep = slice(None) if support.mask is None else support.mask
        z = F.normalize(features[keep].double())
        y = membership(support.y[keep], outputs_of(problem, support), None, torch.float64)
        mean = z.mean(0)
        weight, middle = centred_ridge(z - mean, y, self.penalty)
        bias = middle - weight @ mean
        return {
            HEAD[0]: (self.scale * weight).to(features.dtype),
            HEAD[1]: (self.scale * bias).to(features.dtype),
        }

    def predict(self, problem: Problem, adapted: Params, x: Tensor) -> Tensor:
        return problem.read_out(adapted, F.normalize(problem.embed(adapted, x)))
