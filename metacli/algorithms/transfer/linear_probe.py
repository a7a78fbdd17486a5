"""Linear probe: G. Alain, Y. Bengio, "Understanding intermediate layers using linear classifier
probes", ICLR workshop 2017, https://arxiv.org/abs/1610.01644; the baseline of Y. Tian et al.,
ECCV 2020, https://arxiv.org/abs/2003.11539, section 3.2.

Idea: the source's network stays as it is; a linear model of its features is fitted exactly.

    z = (f_θ(x) − μ) / s,   classification: min_W (1/λ) Σ CE(Wz + b, y) + ½ ‖W‖²
                            regression:     min_W Σ ‖Wz + b − y‖² + λ ‖W‖²

which are scikit-learn's LogisticRegression(C=1/λ) and Ridge(alpha=λ) on the same z; the intercept
is free. μ is the mean feature of the support and s its root mean square distance from it (one
number, so that λ means the same for every network); both are folded into the head that is kept.

Where we differ: a probe of the last layer alone. λ = `penalty`; not given, it is the one with the
smallest log loss (squared error) on folds of the support, which also calibrates the probabilities.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Self

import torch
from annotated_types import Gt
from torch import Tensor

from metacli.algorithms.meta.episodic import frozen_features
from metacli.algorithms.meta.inner import HEAD
from metacli.algorithms.transfer.transfer import Transfer, choices, filled, network_of, outputs_of
from metacli.nn.problem import Problem
from metacli.nn.solvers.logistic import fit_logistic
from metacli.types import NO_STATE, Batch, Params, State

GRID = {"penalty": (1e-3, 1e-2, 1e-1, 1.0, 10.0)}


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
        heads = [(one, one.head(problem, features, support)) for one in choices(self, GRID)]
        return [(one, problem.read_out(head, query)) for one, head in heads]

    def adapt(
        self, problem: Problem, params: Params, support: Batch, state: State = NO_STATE
    ) -> Params:
        frozen, features = frozen_features(problem, network_of(problem, params), support)
        return {**frozen, **self.usual().head(problem, features, support)}

    def head(self, problem: Problem, features: Tensor, support: Batch) -> Params:
        """W [N, D] and b [N] on the features themselves; λ is given."""
        assert self.penalty is not None
        keep = slice(None) if support.mask is None else support.mask
        x, y = features[keep].double(), support.y[keep]
        mean = x.mean(0)
        spread = (x - mean).square().sum(1).mean().sqrt()
        size = torch.where(spread > 0, spread, 1.0)
        z = (x - mean) / size
        if problem.kind == "classification":
            c = 1 / self.penalty
            weight, bias = fit_logistic(z, y, outputs_of(problem, support), c=c)
        else:
            weight, bias = centred_ridge(z, y.double(), self.penalty)
        weight = weight / size
        return {
            HEAD[0]: weight.to(features.dtype),
            HEAD[1]: (bias - weight @ mean).to(features.dtype),
        }

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
