"""Coupled ridge and logistic regressions, whose covariance over tasks is learned; solved exactly.

Y. Zhang, D.-Y. Yeung, "A convex formulation for learning task relationships in multi-task
learning", UAI 2010 (MTRL), equation 5, here also with logistic loss:

    min over W, b, Ω:  Σ_t loss_t(X_t w_t + b_t) + strength/(2T) tr(Wᵀ Ω⁻¹ W),   tr Ω = 1

which is convex in all three. Alternation: for a given Ω Newton steps on all w_t at once, one system
of T (D+1) unknowns; for given W, Ω = (WWᵀ)^½ / tr. Tasks whose weights point the same way, or
opposite ways, pull each other along; unrelated ones do not. The strength is chosen on inner folds
of the training rows by the loss. Intercepts have a small penalty of their own and are not coupled.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

import torch
from annotated_types import Ge, Gt
from torch import Tensor
from torch.nn import functional as F

from metacli.nn.sharing.mean_ridge import weighted, with_intercept
from metacli.nn.sharing.scheme import Sharing, heads
from metacli.types import Batch, Params

EPS = 1e-4  # of a variance: Ω stays invertible
INTERCEPT = 0.1
NEWTON = 25


@dataclass(frozen=True, kw_only=True)
class Coupled(Sharing):
    """Options.

    Args:
        strength: to choose from, in units of rows (columns have standard deviation 1).
        share: False leaves Ω = I/T: each task by itself.
        rounds: alternations. folds: inner folds of the training rows.
    """

    strength: tuple[Annotated[float, Gt(0)], ...] = (1.0, 3.0, 10.0, 20.0, 40.0, 100.0)
    share: bool = True
    rounds: Annotated[int, Ge(1)] = 8
    folds: Annotated[int, Ge(2)] = 3

    needs_trunk = False
    kinds = ("regression", "classification")

    def init(self, sizes: Sequence[int], tasks: int, rng: torch.Generator) -> Params:
        zeros = torch.zeros(tasks, sizes[0], dtype=torch.float64)
        return {
            "heads.weight": zeros,
            "heads.bias": zeros[:, 0].clone(),
            "coupled.covariance": torch.eye(tasks, dtype=torch.float64) / tasks,
            "coupled.penalties": torch.zeros(1, dtype=torch.float64),
        }

    def forward(self, params: Params, x: Tensor) -> Tensor:
        return heads(params, x)

    def penalty(self, params: Params) -> Tensor:
        return params["heads.bias"].new_zeros(())

    def shared(self, names: Sequence[str]) -> tuple[str, ...]:
        return ()

    def solve(
        self, batch: Batch, rng: torch.Generator, binary: Tensor | None = None
    ) -> tuple[Params, Tensor]:
        """Weights for standardised rows [T, M, D] and targets [T, M], and the mean loss on inner
        folds of every strength, [C]."""
        mask = torch.ones_like(batch.y) if batch.mask is None else batch.mask
        fold = torch.rand(mask.shape, generator=rng).argsort(1) % self.folds  # [T, M]
        errors = []
        for strength in self.strength:
            total = torch.zeros((), dtype=torch.float64)
            for k in range(self.folds):
                inner = Batch(batch.x, batch.y, mask * (fold != k))
                w, _ = self.fit(inner, strength, binary)
                held = Batch(batch.x, batch.y, mask * (fold == k))
                total = total + losses(with_intercept(held), held, w, binary).sum()
            errors.append(total / mask.sum())
        scores = torch.stack(errors)
        best = self.strength[int(scores.argmin())]
        return self.as_params(*self.fit(batch, best, binary), best), scores

    def refit(self, batch: Batch, params: Params, binary: Tensor | None = None) -> Params:
        """Weights for other rows at a strength that was chosen before."""
        strength = float(params["coupled.penalties"])
        return self.as_params(*self.fit(batch, strength, binary), strength)

    def fit(self, batch: Batch, strength: float, binary: Tensor | None) -> tuple[Tensor, Tensor]:
        """w [T, D+1], the intercept last, and Ω [T, T]."""
        x = with_intercept(batch)
        tasks, columns = x.shape[0], x.shape[2]
        w = torch.zeros(tasks, columns, dtype=torch.float64)
        omega = torch.eye(tasks, dtype=torch.float64) / tasks
        for _ in range(self.rounds if self.share else 1):
            w = newton(x, batch, binary, w, strength / tasks * torch.linalg.inv(omega))
            if self.share:
                omega = covariance(w[:, :-1])
        return w, omega

    def as_params(self, w: Tensor, omega: Tensor, strength: float) -> Params:
        return {
            "heads.weight": w[:, :-1].clone(),
            "heads.bias": w[:, -1].clone(),
            "coupled.covariance": omega,
            "coupled.penalties": torch.tensor([strength], dtype=w.dtype),
        }


def covariance(w: Tensor) -> Tensor:
    """The best Ω for these weights [T, D]."""
    values, vectors = torch.linalg.eigh(w @ w.T + EPS * torch.eye(len(w), dtype=w.dtype))
    root = (vectors * values.clamp(min=0).sqrt()) @ vectors.T
    result: Tensor = root / root.trace()
    return result


def newton(x: Tensor, batch: Batch, binary: Tensor | None, w: Tensor, precision: Tensor) -> Tensor:
    """argmin over w [T, D+1] of the losses + ½ tr(Wᵀ precision W), from where w is; a step that
    does not lower the objective is halved."""
    tasks, columns = w.shape
    prior = torch.zeros(tasks, columns, tasks, columns, dtype=w.dtype)
    for column in range(columns - 1):
        prior[:, column, :, column] = precision
    prior[:, -1, :, -1] = INTERCEPT * torch.eye(tasks, dtype=w.dtype)
    flat = prior.view(tasks * columns, -1)

    def value(v: Tensor) -> Tensor:
        return losses(x, batch, v, binary).sum() + 0.5 * v.flatten() @ flat @ v.flatten()

    now = value(w)
    for _ in range(NEWTON):
        slope, curve = derivatives(x, batch, w, binary)
        left = prior.clone()
        diagonal = torch.arange(tasks)
        left[diagonal, :, diagonal, :] += curve
        right = slope.flatten() + flat @ w.flatten()
        step = torch.linalg.solve(left.view_as(flat), right).view_as(w)
        size = 1.0
        while value(w - size * step) > now and size > 1e-6:
            size /= 2
        w = w - size * step
        before, now = now, value(w)
        if before - now <= 1e-10 * now.abs():
            break
    return w


def losses(x: Tensor, batch: Batch, w: Tensor, binary: Tensor | None) -> Tensor:
    """[T, M]: half squared errors, or cross-entropies; 0 where a row is not there."""
    out, y = (x @ w[..., None]).squeeze(-1), batch.y.double()
    each = 0.5 * (out - y).square()
    if binary is not None:
        crossed = F.binary_cross_entropy_with_logits(out, y.clamp(0, 1), reduction="none")
        each = torch.where(binary[:, None], crossed, each)
    return weighted(each, batch.mask)


def derivatives(x: Tensor, batch: Batch, w: Tensor, binary: Tensor | None) -> tuple[Tensor, Tensor]:
    """Slopes [T, D+1] and curvatures [T, D+1, D+1] of each task's losses; rows that are not there
    are 0 in x."""
    out, y = (x @ w[..., None]).squeeze(-1), batch.y.double()
    error, curve = out - y, torch.ones_like(out)
    if binary is not None:
        p = torch.sigmoid(out)
        error = torch.where(binary[:, None], p - y, error)
        curve = torch.where(binary[:, None], p * (1 - p), curve)
    return (x.mT @ error[..., None]).squeeze(-1), x.mT @ (x * curve[..., None])
