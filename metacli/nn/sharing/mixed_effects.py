"""Mixed-effects regression: slopes and intercepts of each task's own, and one curved function
that all tasks share; every strength is learned.

N. Laird, J. Ware, Biometrics 38 (1982), with the random features of A. Rahimi, B. Recht, NeurIPS
2007 among the columns that are common to all tasks:

    y_ti = b + β·x + γ·cos(Ω x + φ) + u_t·(1, x) + ε,
    β ~ N(0, τ_1 I),  γ ~ N(0, τ_2 I),  u_t ~ N(0, diag(ψ)),  ε ~ N(0, σ²)

γ's part is in the limit a Gaussian process with a squared-exponential kernel. The variances are
those of restricted maximum likelihood (`nn.mixed_models`): a column whose slope does not differ
between tasks gets ψ_j near 0, which a common penalty for all columns cannot do. The kernel's length
is chosen by the squared error on inner folds of the training rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

import numpy as np
import torch
from annotated_types import Ge
from torch import Tensor

from metacli.nn.sharing.mean_ridge import MeanRidge, Positive
from metacli.nn.sharing.scheme import Sharing, heads
from metacli.nn.solvers.mixed_models import Mixed, Moments, expected, learned, precisions, with_ones
from metacli.types import Batch, Params

SPREAD = 1.0  # of standardised targets
BEGIN = 0.003  # where EM begins with ψ: slopes that differ between tasks differ little
# Penalties of each task by itself to choose from, in rows: from steep slopes to none.
SLOPES = (0.1, 1.0, 3.0, 10.0, *MeanRidge.slope)
INTERCEPTS = (0.1, 0.3, *MeanRidge.intercept)

Curve = tuple[np.ndarray, np.ndarray]
"""Ω [D, F] and φ [F]."""


@dataclass(frozen=True, kw_only=True)
class MixedEffects(Sharing):
    """Options.

    Args:
        features: of the curved function; 0 leaves it out.
        length: of its kernel, to choose from; columns have standard deviation 1, and those of two
            values differ by 1.
        steps: of EM.
        folds: inner folds of the training rows, where there is something to choose.
        share: False leaves ridge regression for each task by itself.
    """

    features: Annotated[int, Ge(0)] = 300
    length: tuple[Positive, ...] = (1.5, 3.0)
    steps: Annotated[int, Ge(1)] = 60
    folds: Annotated[int, Ge(2)] = 3
    share: bool = True

    needs_trunk = False
    kinds = ("regression",)

    @property
    def one_network(self) -> bool:
        """The curve is no part of what a new task can begin with."""
        return self.features == 0

    def init(self, sizes: Sequence[int], tasks: int, rng: torch.Generator) -> Params:
        zeros = torch.zeros(tasks, sizes[0], dtype=torch.float64)
        return {
            "heads.weight": zeros,
            "heads.bias": zeros[:, 0].clone(),
            "curve.weight": torch.zeros(sizes[0], self.features, dtype=torch.float64),
            "curve.phase": torch.zeros(self.features, dtype=torch.float64),
            "curve.common": torch.zeros(self.features, dtype=torch.float64),
            "effects.penalties": torch.zeros(sizes[0] + 4, dtype=torch.float64),
        }

    def forward(self, params: Params, x: Tensor) -> Tensor:
        curve = torch.cos(x @ params["curve.weight"] + params["curve.phase"])
        return heads(params, x) + curve @ params["curve.common"]

    def penalty(self, params: Params) -> Tensor:
        return params["heads.bias"].new_zeros(())

    def shared(self, names: Sequence[str]) -> tuple[str, ...]:
        return ()

    def solve(
        self, batch: Batch, rng: torch.Generator, binary: Tensor | None = None
    ) -> tuple[Params, Tensor]:
        """Weights for standardised rows [T, M, D] and targets [T, M], and the mean squared error on
        inner folds of every length, [C]."""
        begin = self.init(batch.x.shape[-1:], len(batch.y), rng)
        if not self.share:
            alone = MeanRidge(share=False, folds=self.folds, slope=SLOPES, intercept=INTERCEPTS)
            params, scores = alone.solve(batch, rng)
            own = {name: value for name, value in params.items() if name.startswith("heads.")}
            penalties = torch.nn.functional.pad(
                params["ridge.penalties"], (0, len(begin["effects.penalties"]) - 3)
            )
            return {**begin, **own, "effects.penalties": penalties}, scores
        x, y = rows_of(batch)
        curves = [self.curve(x, length, rng) for length in self.length]
        fold = [torch.randperm(len(one), generator=rng).numpy() % self.folds for one in y]
        scores = torch.tensor([self.held_out(x, y, fold, curve) for curve in curves])
        curve = curves[int(scores.argmin())]
        return self.as_params(begin, curve, self.fit(x, y, curve)), scores

    def refit(self, batch: Batch, params: Params, binary: Tensor | None = None) -> Params:
        """Weights for other rows, with the variances and the curve that were found before."""
        penalties = params["effects.penalties"]
        if not self.share:
            own = {"ridge.penalties": penalties[:3]}
            found = MeanRidge(share=False).refit(batch, own)
            return {**params, **{k: v for k, v in found.items() if k.startswith("heads.")}}
        x, y = rows_of(batch)
        curve = (params["curve.weight"].numpy(), params["curve.phase"].numpy())
        noise, tau, psi = float(penalties[0]), penalties[1:3].numpy(), penalties[3:].numpy()
        moments, groups = self.moments(x, y, curve)
        fixed, random, *_ = expected(moments, psi, noise, precisions(groups, tau, noise))
        return self.as_params(params, curve, Mixed(fixed, random, psi, noise, tau))

    def curve(self, x: list[np.ndarray], length: float, rng: torch.Generator) -> Curve:
        """Ω [D, F] and φ [F]."""
        every = np.concatenate(x)
        two = [len(np.unique(column)) == 2 for column in every.T]
        scale = np.where(two, 1 / np.maximum(np.ptp(every, axis=0), 1e-12), 1.0)
        waves = torch.randn(len(scale), self.features, generator=rng, dtype=torch.float64).numpy()
        phase = 2 * np.pi * torch.rand(self.features, generator=rng, dtype=torch.float64).numpy()
        return scale[:, None] * waves / length, phase

    def moments(
        self, x: list[np.ndarray], y: list[np.ndarray], curve: Curve
    ) -> tuple[Moments, np.ndarray]:
        """Sums of products of (1, x, curve), and the group of each column."""
        size = 1 + x[0].shape[1]
        seen = [np.column_stack([with_ones(one), np.cos(one @ curve[0] + curve[1])]) for one in x]
        groups = np.repeat([-1, 0, 1], [1, size - 1, self.features])
        return Moments.of(seen, y, size), groups

    def fit(self, x: list[np.ndarray], y: list[np.ndarray], curve: Curve) -> Mixed:
        moments, groups = self.moments(x, y, curve)
        return learned(moments, groups, SPREAD, self.steps, BEGIN)

    def held_out(
        self, x: list[np.ndarray], y: list[np.ndarray], fold: list[np.ndarray], curve: Curve
    ) -> float:
        """The mean squared error on inner folds."""
        if len(self.length) == 1 or self.features == 0:
            return 0.0  # there is nothing to choose
        total = 0.0
        for k in range(self.folds):
            inner = [part != k for part in fold]
            found = self.fit(kept(x, inner), kept(y, inner), curve)
            for task, keep in enumerate(inner):
                rows = x[task][~keep]
                w = found.fixed[: rows.shape[1] + 1] + found.random[task]
                predicted = with_ones(rows) @ w
                predicted += np.cos(rows @ curve[0] + curve[1]) @ found.fixed[rows.shape[1] + 1 :]
                total += float(((y[task][~keep] - predicted) ** 2).sum())
        return total / sum(map(len, y))

    def as_params(self, begin: Params, curve: Curve, found: Mixed) -> Params:
        size = found.random.shape[1]
        w = found.fixed[:size] + found.random
        tau = np.resize(found.priors, 2)
        made = {
            "heads.weight": w[:, 1:],
            "heads.bias": w[:, 0],
            "curve.weight": curve[0],
            "curve.phase": curve[1],
            "curve.common": found.fixed[size:],
            "effects.penalties": np.concatenate([[found.noise], tau, found.variances]),
        }
        return {**begin, **{name: torch.from_numpy(value.copy()) for name, value in made.items()}}


def rows_of(batch: Batch) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """x [m_t, D] and y [m_t] of each task, without padding."""
    x = batch.x.double().expand(*batch.y.shape, batch.x.shape[-1]).numpy()
    y = batch.y.double().numpy()
    keep = np.ones(y.shape, bool) if batch.mask is None else batch.mask.bool().numpy()
    return [a[k] for a, k in zip(x, keep, strict=True)], [
        b[k] for b, k in zip(y, keep, strict=True)
    ]


def kept(rows: list[np.ndarray], keep: list[np.ndarray]) -> list[np.ndarray]:
    """Of each task those rows that its mask keeps."""
    return [a[b] for a, b in zip(rows, keep, strict=True)]
