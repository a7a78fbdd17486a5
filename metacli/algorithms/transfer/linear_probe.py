"""Linear probe: G. Alain, Y. Bengio, "Understanding intermediate layers using linear classifier
probes", ICLR workshop 2017, https://arxiv.org/abs/1610.01644; the baseline of Y. Tian et al.,
ECCV 2020, https://arxiv.org/abs/2003.11539, section 3.2.

Idea: the source's network stays as it is; a linear model of its features is fitted exactly.

    z = (f_θ(x) − μ) / s,   classification: min_W (1/λ) Σ CE(Wz + b, y) + ½ ‖W‖²
                            regression:     min_W Σ ‖Wz + b − y‖² + λ ‖W‖²

which are scikit-learn's LogisticRegression(C=1/λ) and Ridge(alpha=λ) on the same z; the intercept
is free. μ is the mean feature of the support and s its root mean square distance from it (one
number, so that λ means the same for every network); both are folded into the head that is kept.

Where we differ: a probe of the last layer alone; of many parameters W is found until the gradient
is 10⁻⁴/λ at most. λ = `penalty`; not given, it is the one with the
smallest log loss (squared error) on folds of the support, which also calibrates the probabilities.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Self

import torch
from annotated_types import Gt
from torch import Tensor

from metacli.algorithms.meta.episodic import frozen_features
from metacli.algorithms.meta.inner import HEAD
from metacli.algorithms.transfer.transfer import Transfer, choices, filled, network_of, outputs_of
from metacli.nn.problem import Problem
from metacli.nn.solvers.logistic import NEWTON, fit_logistics
from metacli.types import NO_STATE, Batch, Params, State

GRID = {"penalty": (1e-3, 1e-2, 1e-1, 1.0, 10.0)}
EXACT = 1e-9  # of the gradient
ROUGH_PART = 1e-4  # of it in units of 1/λ, where there are many parameters: next to its minimum


@dataclass(frozen=True, kw_only=True)
class LinearProbe(Transfer):
    penalty: Annotated[float, Gt(0)] | None = None

    frozen = True

    def usual(self) -> Self:
        return filled(self, {"penalty": 0.1})

    def explore(
        self, problem: Problem, params: Params, support: Batch, state: State, x: Tensor
    ) -> list[tuple[Self, Tensor]]:
        frozen, features = frozen_features(problem, network_of(problem, params), support)
        query = problem.embed(frozen, x)
        heads = self.heads(problem, features, support, choices(self, GRID))
        return [(one, problem.read_out(head, query)) for one, head in heads]

    def adapt(
        self, problem: Problem, params: Params, support: Batch, state: State = NO_STATE
    ) -> Params:
        frozen, features = frozen_features(problem, network_of(problem, params), support)
        return {**frozen, **self.usual().head(problem, features, support)}

    def head(self, problem: Problem, features: Tensor, support: Batch) -> Params:
        """W [N, D] and b [N] on the features themselves; λ is given."""
        ((_, head),) = self.heads(problem, features, support, [self])
        return head

    def heads(
        self, problem: Problem, features: Tensor, support: Batch, tried: Sequence[Self]
    ) -> list[tuple[Self, Params]]:
        """The same of several λ; what they share is computed once."""
        keep = slice(None) if support.mask is None else support.mask
        x, y = features[keep].double(), support.y[keep]
        mean = x.mean(0)
        spread = (x - mean).square().sum(1).mean().sqrt()
        size = torch.where(spread > 0, spread, 1.0)
        z = (x - mean) / size
        penalties = [one.penalty for one in tried if one.penalty is not None]
        if problem.kind == "classification":
            way = outputs_of(problem, support)
            exact = way * (min(z.shape) + 1) <= NEWTON
            limits = {1 / p: EXACT if exact else ROUGH_PART / p for p in penalties}
            found = fit_logistics(z, y, way, limits)
            solved = [found[1 / penalty] for penalty in penalties]
        else:
            solved = [centred_ridge(z, y.double(), penalty) for penalty in penalties]
        heads: list[tuple[Self, Params]] = []
        for one, (weight, bias) in zip(tried, solved, strict=True):
            scaled = weight / size
            intercept = (bias - scaled @ mean).to(features.dtype)
            heads.append((one, {HEAD[0]: scaled.to(features.dtype), HEAD[1]: intercept}))
        return heads

    def predict(self, problem: Problem, adapted: Params, x: Tensor) -> Tensor:
        return problem.predict(adapted, x)


def centred_ridge(z: Tensor, y: Tensor, penalty: float) -> tuple[Tensor, Tensor]:
    """Ridge with a free intercept for z [M, D] of mean zero and y [M, N]; by the smaller system."""
    middle = y.mean(0)
    rows, columns = z.shape
    eye = torch.eye(min(rows, columns), dtype=z.dtype, device=z.device)
    if rows < columns:
        return (z.T @ torch.linalg.solve(z @ z.T + penalty * eye, y - middle)).T, middle
    return torch.linalg.solve(z.T @ z + penalty * eye, z.T @ (y - middle)).T, middle
