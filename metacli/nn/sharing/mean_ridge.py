"""Mean-regularised ridge regression, solved exactly for all tasks at once.

T. Evgeniou, M. Pontil, "Regularized multi-task learning", KDD 2004, here with squared loss, and a
penalty of its own for the intercepts. As a model of the data: random slopes and intercepts (N.
Laird, J. Ware, Biometrics 1982) with one variance for the slopes and one for the intercepts.

    w_t = w_0 + v_t,   min Σ_t ||y_t - X_t w_t||² + Σ_t v_tᵀ Λ v_t + mean |w_0|²,
    Λ = diag(slope, ..., slope, intercept)

For a given w_0 each v_t is a ridge solution, v_t = A_t⁻¹ (g_t - G_t w_0) with G_t = X_tᵀX_t, g_t =
X_tᵀy_t, A_t = G_t + Λ; put back, w_0 solves Σ_t (G_t - G_t A_t⁻¹ G_t) w_0 + mean w_0 = Σ_t (g_t -
G_t A_t⁻¹ g_t): one batched solve of [T, D+1, D+1]. The penalties are chosen by the squared error on
inner folds of the training rows, since shared and single-task ridge need different ones. They
belong to sums over rows, so they stay right when more rows come.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Annotated

import torch
from annotated_types import Ge, Gt
from torch import Tensor

from metacli.nn.sharing.scheme import Sharing, heads
from metacli.types import Batch, Params

Positive = Annotated[float, Gt(0)]


@dataclass(frozen=True, kw_only=True)
class MeanRidge(Sharing):
    """Options: penalties to choose from, in units of rows (columns have standard deviation 1).

    Args:
        slope: of the deviation of a task's weights from the mean. intercept: of its intercept.
        mean: of the mean weights themselves.
        share: False leaves w_0 = 0 but for its intercept's: each task by itself.
        folds: inner folds of the training rows.
    """

    slope: tuple[Positive, ...] = (30.0, 100.0, 200.0, 300.0, 500.0, 1000.0, 1e4, 1e6)
    intercept: tuple[Positive, ...] = (1.0, 3.0, 10.0, 30.0, 100.0)
    mean: tuple[Positive, ...] = (1.0, 10.0)
    share: bool = True
    folds: Annotated[int, Ge(2)] = 5

    needs_trunk = False
    kinds = ("regression",)

    def init(self, sizes: Sequence[int], tasks: int, rng: torch.Generator) -> Params:
        zeros = torch.zeros(tasks, sizes[0], dtype=torch.float64)
        return {
            "heads.weight": zeros,
            "heads.bias": zeros[:, 0].clone(),
            "ridge.penalties": torch.zeros(3, dtype=torch.float64),
        }

    def forward(self, params: Params, x: Tensor) -> Tensor:
        return heads(params, x)

    def penalty(self, params: Params) -> Tensor:
        return params["heads.bias"].new_zeros(())

    def shared(self, names: Sequence[str]) -> tuple[str, ...]:
        return ()

    def choices(self) -> Iterator[tuple[float, float, float]]:
        """Penalties (slope, intercept, mean) to try. Without sharing there is no mean to
        penalise."""
        return product(self.slope, self.intercept, self.mean if self.share else (1.0,))

    def solve(
        self, batch: Batch, rng: torch.Generator, binary: Tensor | None = None
    ) -> tuple[Params, Tensor]:
        """Weights for standardised rows [T, M, D] and targets [T, M], and the mean squared error
        on inner folds of every choice, [C]."""
        x, y = with_intercept(batch), weighted(batch.y.double(), batch.mask)
        fold = torch.randperm(x.shape[1], generator=rng) % self.folds
        parts = [moments(x[:, fold == k], y[:, fold == k]) for k in range(self.folds)]
        gram = torch.stack([one[0] for one in parts]).sum(0)
        cross = torch.stack([one[1] for one in parts]).sum(0)
        errors = []
        choices = list(self.choices())
        for choice in choices:
            error = torch.zeros((), dtype=torch.float64)
            for k, (g, c) in enumerate(parts):
                w = self.fit(gram - g, cross - c, *choice)
                rows = fold == k
                error = error + (y[:, rows] - predict(x[:, rows], w)).square().sum()
            errors.append(error)
        scores = torch.stack(errors) / x[..., -1].sum()
        best = choices[int(scores.argmin())]
        return self.as_params(self.fit(gram, cross, *best), best), scores

    def refit(self, batch: Batch, params: Params, binary: Tensor | None = None) -> Params:
        """Weights for other rows at penalties that were chosen before."""
        x, y = with_intercept(batch), weighted(batch.y.double(), batch.mask)
        slope, intercept, mean = params["ridge.penalties"].tolist()
        best = (slope, intercept, mean)
        return self.as_params(self.fit(*moments(x, y), *best), best)

    def fit(
        self, gram: Tensor, cross: Tensor, slope: float, intercept: float, mean: float
    ) -> Tensor:
        """w [T, D+1], the intercept last; gram [T, D+1, D+1], cross [T, D+1]."""
        size = gram.shape[-1]
        own = torch.full((size,), slope, dtype=gram.dtype)
        own[-1] = intercept
        both = torch.cat([gram, cross[..., None]], -1)
        solved: Tensor = torch.linalg.solve(gram + torch.diag(own), both)  # A⁻¹ [G, g]
        a_gram, a_cross = solved[..., :-1], solved[..., -1]
        if not self.share:
            return a_cross
        common = torch.full((size,), mean, dtype=gram.dtype)
        common[-1] = 1e-8
        left = (gram - gram @ a_gram).sum(0) + torch.diag(common)
        right = (cross - (gram @ a_cross[..., None]).squeeze(-1)).sum(0)
        w0 = torch.linalg.solve(left, right)
        result: Tensor = w0 + a_cross - a_gram @ w0
        return result

    def as_params(self, w: Tensor, penalties: tuple[float, float, float]) -> Params:
        return {
            "heads.weight": w[:, :-1].clone(),
            "heads.bias": w[:, -1].clone(),
            "ridge.penalties": torch.tensor(penalties, dtype=w.dtype),
        }


def with_intercept(batch: Batch) -> Tensor:
    """x with a last column of ones, [T, M, D+1]; padding is zero."""
    x = batch.x.double().expand(*batch.y.shape, batch.x.shape[-1])
    return weighted(torch.cat([x, torch.ones_like(x[..., :1])], -1), batch.mask)


def weighted(values: Tensor, mask: Tensor | None) -> Tensor:
    if mask is None:
        return values
    return values * (mask if values.dim() == 2 else mask[..., None])


def moments(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """XᵀX [T, D, D] and Xᵀy [T, D]."""
    return x.mT @ x, (x.mT @ y[..., None]).squeeze(-1)


def predict(x: Tensor, w: Tensor) -> Tensor:
    return (x @ w[..., None]).squeeze(-1)
