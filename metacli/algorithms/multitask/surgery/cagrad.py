"""CAGrad: B. Liu, X. Liu, X. Jin, P. Stone, Q. Liu, "Conflict-Averse Gradient Descent for
Multi-task Learning", NeurIPS 2021, algorithm 1.

Idea: of the directions near the mean gradient g_0, the one whose worst task improves most.

    max over d of min_t g_t·d  with ‖d − g_0‖ ≤ c ‖g_0‖
    dual: min over the simplex of g_w·g_0 + c ‖g_0‖ ‖g_w‖,      d = g_0 + c ‖g_0‖ g_w / ‖g_w‖

c = 0 is the mean gradient.

Where we differ: the dual, convex and small, is solved by sequential quadratic programming.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import torch
from annotated_types import Ge
from torch import Tensor

from metacli.algorithms.multitask.balancing import Surgery
from metacli.algorithms.multitask.surgery.gram import gramian
from metacli.errors import RunFailed


@dataclass(frozen=True, kw_only=True)
class CAGrad(Surgery):
    """c: radius around the mean gradient, in its own length; below 1 it converges to a minimum of
    the mean loss."""

    c: Annotated[float, Ge(0)] = 0.5

    def combine(self, rows: Tensor, rng: torch.Generator) -> Tensor:
        mean = rows.mean(0)
        w = self.weights(rows).to(rows.dtype)
        worst = w @ rows
        length = worst.norm()
        if length <= 1e-12 * mean.norm():
            return mean
        result: Tensor = mean + self.c * mean.norm() / length * worst
        return result

    def weights(self, rows: Tensor) -> Tensor:
        """w of the dual problem, [T]."""
        import numpy as np
        from scipy.optimize import minimize

        gram = gramian(rows).cpu().numpy()
        tasks = len(gram)
        to_mean = gram.mean(1)
        radius = self.c * np.sqrt(max(to_mean.mean(), 0.0))

        def value(w: np.ndarray) -> tuple[float, np.ndarray]:
            inner = gram @ w
            length = np.sqrt(max(w @ inner, 1e-24))
            return float(w @ to_mean + radius * length), to_mean + radius * inner / length

        found = minimize(
            value,
            np.full(tasks, 1 / tasks),
            jac=True,
            bounds=[(0.0, 1.0)] * tasks,
            constraints={"type": "eq", "fun": lambda w: w.sum() - 1, "jac": np.ones_like},
            method="SLSQP",
            options={"ftol": 1e-14, "maxiter": 200},
        )
        if not np.isfinite(found.x).all():
            raise RunFailed("CAGrad's inner problem has no finite solution", code="run.not_finite")
        return torch.from_numpy(found.x)
