"""Linear mixed models: what a statistician would do with pupils in schools.

N. Laird, J. Ware, "Random-effects models for longitudinal data", Biometrics 38 (1982):

    y_t = X_t β + Z_t u_t + ε_t,   u_t ~ N(0, diag(ψ)),   ε_t ~ N(0, σ² I)

with Z_t the first Q columns of X_t: a column of ones (random intercepts), or more of them (random
slopes), each with a variance of its own. Variances are those of restricted maximum likelihood
(REML) by EM: β is integrated out with u. Its prior is flat, or that of groups of columns, β_j ~
N(0, τ_g(j)), whose variances are learned likewise. With W_t = Z_tᵀX_t / σ², A_t = Z_tᵀZ_t / σ² +
Ψ⁻¹ and P the precisions of β's prior,

    S = Σ_t X_tᵀX_t / σ² - W_tᵀ A_t⁻¹ W_t + P,   Cov(β) = S⁻¹
    Cov(u_t) = A_t⁻¹ + A_t⁻¹ W_t S⁻¹ W_tᵀ A_t⁻¹
    ψ_j ← mean_t (û_tj² + Cov(u_t)_jj),   τ_g ← mean_j∈g (β̂_j² + Cov(β)_jj)
    σ² ← (Σ ê² + σ² (columns of X and Z - tr(P Cov(β)) - Σ_t tr(Ψ⁻¹ Cov(u_t)))) / M

Only sums of products over rows are needed, so that a step costs T small solves. EM stops where no
variance moves by more than 1e-6 of itself. A variance near 0 moves by a share that falls with it,
so that EM stops before it has arrived: what is left is small beside σ², and û with it, but it is
not the REML estimate, which is 0. Letters: T tasks, M rows of all tasks, P columns of X (the
intercept first), Q of Z, G groups.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

FLAT = 1e-8  # precision of β's prior, of a variance: columns that say the same stay solvable
SMALLEST = 1e-8  # of a variance, in units of the targets' variance


@dataclass(frozen=True)
class Mixed:
    """A fitted model: β [P] and û [T, Q], intercepts first; ψ [Q], σ² and τ [G]."""

    fixed: np.ndarray
    random: np.ndarray
    variances: np.ndarray
    noise: float
    priors: np.ndarray

    def predict(self, x: Sequence[np.ndarray]) -> list[np.ndarray]:
        """For rows [m_t, D] of each task."""
        size = self.random.shape[1]
        seen = [with_ones(one) for one in x]
        return [a @ self.fixed + a[:, :size] @ u for a, u in zip(seen, self.random, strict=True)]


@dataclass(frozen=True)
class Moments:
    """XᵀX [P, P] and Xᵀy [P] of all rows; ZᵀX [T, Q, P] and Zᵀy [T, Q] of each task; Σ y², M."""

    gram: np.ndarray
    cross: np.ndarray
    among: np.ndarray
    own_cross: np.ndarray
    squares: float
    rows: int

    @classmethod
    def of(cls, x: Sequence[np.ndarray], y: Sequence[np.ndarray], size: int) -> Moments:
        """Of rows [m_t, P] and targets [m_t] of each task; Q is `size`."""
        pairs = list(zip(x, y, strict=True))
        return cls(
            gram=sum((a.T @ a for a in x), np.zeros((x[0].shape[1],) * 2)),
            cross=sum((a.T @ b for a, b in pairs), np.zeros(x[0].shape[1])),
            among=np.stack([a[:, :size].T @ a for a in x]),
            own_cross=np.stack([a[:, :size].T @ b for a, b in pairs]),
            squares=sum(float(b @ b) for b in y),
            rows=sum(map(len, y)),
        )

    def squared_errors(self, fixed: np.ndarray, random: np.ndarray) -> float:
        """Σ ê² over all rows."""
        size = random.shape[1]
        found = self.squares - 2 * fixed @ self.cross - 2 * (random * self.own_cross).sum()
        found += fixed @ self.gram @ fixed + 2 * ((self.among @ fixed) * random).sum()
        own = (self.among[:, :, :size] @ random[..., None])[..., 0]
        return float(found + (random * own).sum())


def fit_mixed(
    x: Sequence[np.ndarray], y: Sequence[np.ndarray], *, slopes: bool, steps: int = 300
) -> Mixed:
    """REML by EM, β with a flat prior.

    Args:
        x: rows [m_t, D] of each task, without an intercept. y: [m_t].
        slopes: each task has its own slopes, not only its own intercept.
        steps: of EM, at most.
    """
    rows = [with_ones(one) for one in x]
    columns = rows[0].shape[1]
    moments = Moments.of(rows, y, columns if slopes else 1)
    spread = float(np.concatenate(list(y)).var()) or 1.0
    return learned(moments, np.full(columns, -1), spread, steps)


def learned(
    moments: Moments, groups: np.ndarray, spread: float, steps: int, begin: float = 0.1
) -> Mixed:
    """β, û and the variances.

    Args:
        groups: of each column of X, from 0 on; -1 has a flat prior.
        spread: the targets' variance. begin: where ψ begins, in units of it.
        steps: of EM, at most; it stops where no ψ and not σ² moves by more than 1e-6 of itself.
    """
    size, smallest = moments.among.shape[1], SMALLEST * spread
    psi, noise = np.full(size, begin * spread), 0.5 * spread
    tau = np.full(groups.max() + 1, 0.01 * spread)
    for _ in range(steps):
        precision = precisions(groups, tau, noise)
        fixed, random, of_fixed, of_random = expected(moments, psi, noise, precision)
        each = random**2 + of_random  # [T, Q]
        moved = np.maximum(each.mean(0), smallest)
        square = fixed**2 + of_fixed
        tau = np.array([max(square[groups == g].mean(), smallest**2) for g in range(len(tau))])
        used = len(fixed) - of_fixed @ precision + of_random.size - (of_random / psi).sum()
        errors = moments.squared_errors(fixed, random)
        heard = max((errors + noise * used) / moments.rows, smallest)
        change = max(float(np.abs(moved / psi - 1).max()), abs(heard / noise - 1))
        psi, noise = moved, heard
        if change < 1e-6:
            break
    fixed, random, *_ = expected(moments, psi, noise, precisions(groups, tau, noise))
    return Mixed(fixed, random, psi, noise, tau)


def precisions(groups: np.ndarray, tau: np.ndarray, noise: float) -> np.ndarray:
    """Of β's prior, [P]."""
    flat = groups < 0
    found = np.full(len(groups), FLAT / noise)
    found[~flat] = 1 / tau[groups[~flat]]
    return found


def expected(
    moments: Moments, psi: np.ndarray, noise: float, precision: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """β [P], û [T, Q], and the variances of both, for given variances of the model."""
    size, columns = len(psi), len(precision)
    among = moments.among / noise  # [T, Q, P]
    own = among[:, :, :size] + np.diag(1 / psi)
    right = [among, moments.own_cross[..., None] / noise, eye(len(among), size)]
    solved = np.linalg.solve(own, np.concatenate(right, 2))
    a_among, a_cross = solved[:, :, :columns], solved[:, :, columns]
    inverse = solved[:, :, columns + 1 :].diagonal(axis1=1, axis2=2)
    flat = among.reshape(-1, columns)
    left = moments.gram / noise - flat.T @ a_among.reshape(-1, columns) + np.diag(precision)
    covariance = np.linalg.inv(left)
    fixed = covariance @ (moments.cross / noise - flat.T @ a_cross.ravel())
    random = a_cross - a_among @ fixed
    of_random = inverse + ((a_among @ covariance) * a_among).sum(-1)
    return fixed, random, covariance.diagonal(), of_random


def eye(tasks: int, size: int) -> np.ndarray:
    return np.broadcast_to(np.eye(size), (tasks, size, size))


def with_ones(x: np.ndarray) -> np.ndarray:
    """[M, D] -> [M, D + 1], the intercept first."""
    return np.column_stack([np.ones(len(x)), x])
