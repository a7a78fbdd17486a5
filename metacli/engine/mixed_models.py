"""Linear mixed models: what a statistician would do with pupils in schools.

N. Laird, J. Ware, "Random-effects models for longitudinal data", Biometrics 38 (1982):

    y_t = X_t β + Z_t u_t + ε_t,   u_t ~ N(0, diag(ψ)),   ε_t ~ N(0, σ² I)

with Z_t a column of ones (random intercepts), or ones and X_t (random intercepts and slopes, each
with a variance of its own). Variances are those of restricted maximum likelihood (REML) by EM: β is
given a flat prior and integrated out with u. With W_t = Z_tᵀX_t / σ² and A_t = Z_tᵀZ_t / σ² + Ψ⁻¹,

    S = Σ_t X_tᵀX_t / σ² - W_tᵀ A_t⁻¹ W_t,   Cov(β) = S⁻¹
    Cov(u_t) = A_t⁻¹ + A_t⁻¹ W_t S⁻¹ W_tᵀ A_t⁻¹
    ψ_j ← mean_t (û_tj² + Cov(u_t)_jj)
    σ² ← (Σ ê² + σ² (rank of all of X and Z - Σ_t tr(Ψ⁻¹ Cov(u_t)))) / M

Only sums of products over rows are needed, so that a step costs T small solves. Letters: T tasks, M
rows of all tasks, P columns of X (the intercept among them), Q of Z.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

FLAT = 1e-8  # precision of β's prior: columns that say the same stay solvable
SMALLEST = 1e-8  # of a variance, in units of the targets' variance


@dataclass(frozen=True)
class Mixed:
    """A fitted model: β [P] and û [T, Q], intercepts first; ψ [Q] and σ²."""

    fixed: np.ndarray
    random: np.ndarray
    variances: np.ndarray
    noise: float

    def predict(self, x: Sequence[np.ndarray]) -> list[np.ndarray]:
        """For rows [m_t, D] of each task."""
        size = self.random.shape[1]
        seen = [with_ones(one) for one in x]
        return [a @ self.fixed + a[:, :size] @ u for a, u in zip(seen, self.random, strict=True)]


def fit_mixed(
    x: Sequence[np.ndarray], y: Sequence[np.ndarray], *, slopes: bool, steps: int = 300
) -> Mixed:
    """REML by EM.

    Args:
        x: rows [m_t, D] of each task, without an intercept. y: [m_t].
        slopes: each task has its own slopes, not only its own intercept.
        steps: of EM, at most; it stops where no variance moves by more than 1e-6 of itself.
    """
    rows = [with_ones(one) for one in x]
    gram = np.stack([a.T @ a for a in rows])  # [T, P, P]
    cross = np.stack([a.T @ b for a, b in zip(rows, y, strict=True)])  # [T, P]
    total, count = sum(float(b @ b) for b in y), sum(map(len, y))
    size = gram.shape[1] if slopes else 1
    spread = float(np.concatenate(list(y)).var()) or 1.0
    variances, noise = np.full(size, 0.1 * spread), 0.5 * spread
    rank = int(np.linalg.matrix_rank(gram.sum(0), hermitian=True))
    for _ in range(steps):
        fixed, random, covariance = expected(gram, cross, variances, noise)
        each = random**2 + covariance.diagonal(axis1=1, axis2=2)  # [T, Q]
        moved = np.maximum(each.mean(0), SMALLEST * spread)
        used = rank + len(gram) * size - (covariance.diagonal(axis1=1, axis2=2) / variances).sum()
        errors = squared_errors(gram, cross, total, fixed, random)
        heard = max((errors + noise * used) / count, SMALLEST * spread)
        change = max(float(np.abs(moved / variances - 1).max()), abs(heard / noise - 1))
        variances, noise = moved, heard
        if change < 1e-6:
            break
    fixed, random, _ = expected(gram, cross, variances, noise)
    return Mixed(fixed, random, variances, noise)


def expected(
    gram: np.ndarray, cross: np.ndarray, variances: np.ndarray, noise: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """β [P], û [T, Q] and Cov(u_t) [T, Q, Q] for given variances."""
    size, columns = len(variances), gram.shape[1]
    among = gram[:, :size] / noise  # ZᵀX, [T, Q, P]
    own = among[:, :, :size] + np.diag(1 / variances)
    right = np.concatenate([among, cross[:, :size, None] / noise, eye(len(gram), size)], 2)
    solved = np.linalg.solve(own, right)
    a_among, a_cross = solved[:, :, :columns], solved[:, :, columns]
    a_inverse = solved[:, :, columns + 1 :]
    left = gram.sum(0) / noise - np.einsum("tqp,tqr->pr", among, a_among)
    left += FLAT * np.eye(columns) / noise
    fixed_covariance = np.linalg.inv(left)
    fixed = fixed_covariance @ (cross.sum(0) / noise - np.einsum("tqp,tq->p", among, a_cross))
    random = a_cross - a_among @ fixed
    return fixed, random, a_inverse + a_among @ fixed_covariance @ a_among.transpose(0, 2, 1)


def squared_errors(
    gram: np.ndarray, cross: np.ndarray, total: float, fixed: np.ndarray, random: np.ndarray
) -> float:
    """Σ ê² over all rows."""
    w = np.repeat(fixed[None], len(random), 0)
    w[:, : random.shape[1]] += random
    return total - 2 * float((w * cross).sum()) + float(np.einsum("tp,tpr,tr->", w, gram, w))


def eye(tasks: int, size: int) -> np.ndarray:
    return np.broadcast_to(np.eye(size), (tasks, size, size))


def with_ones(x: np.ndarray) -> np.ndarray:
    """[M, D] -> [M, D + 1], the intercept first."""
    return np.column_stack([np.ones(len(x)), x])
