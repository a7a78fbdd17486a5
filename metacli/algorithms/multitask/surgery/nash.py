"""Nash-MTL: A. Navon, A. Shamsian, I. Achituve, H. Maron, K. Kawaguchi, G. Chechik, E. Fetaya,
"Multi-Task Learning as a Bargaining Game", ICML 2022, algorithm 1.

Idea: the direction on which the tasks would agree as in Nash's bargaining problem.

    max over d in a ball of Σ_t log(g_t·d):      d = Jᵀa  with  JJᵀ a = 1/a,  a > 0

Multiplying a task's loss by a constant changes nothing.

Where we differ: the authors approximate a with a sequence of convex programs of cvxpy; JJᵀ a - 1/a
is the gradient of the convex ½ aᵀJJᵀa - Σ log a_t, which damped Newton steps minimise to machine
precision, so that no solver is needed. Where opposing gradients let no direction help all tasks, a
grows until `FLOOR` of each gradient's own square stops it.

‖Jᵀa‖ is √T whatever the gradients are, so that the step says nothing of how near the tasks are to
their minimum. It is scaled to `max_norm`, 1 unless it is given; the authors' code clips it there
(`clip_grad_norm_`), which is the same for every `max_norm` below √T and leaves √T above. The outer
rate is thus the length of a step for a plain optimiser.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import torch
from annotated_types import Gt
from torch import Tensor

from metacli.algorithms.multitask.balancing import Surgery

FLOOR = 1e-10


@dataclass(frozen=True, kw_only=True)
class NashMTL(Surgery):
    """max_norm: length of the direction."""

    max_norm: Annotated[float, Gt(0)] = 1.0

    def combine(self, rows: Tensor, rng: torch.Generator) -> Tensor:
        direction = self.weights(rows).to(rows.dtype) @ rows
        length = direction.norm()
        return direction * (self.max_norm / length) if length > 0 else direction

    def weights(self, rows: Tensor) -> Tensor:
        """a of JJᵀ a = 1/a, [T]; 0 for a gradient of 0. Solved for unit gradients u_t, since a
        gradient k times as long has a weight k times as small."""
        wide = rows.double()
        lengths = wide.norm(dim=1)
        there = lengths > 0
        if not there.any():
            return torch.zeros_like(lengths)
        units = wide[there] / lengths[there, None]
        gram = units @ units.T + FLOOR * torch.eye(len(units), dtype=units.dtype)
        weights = torch.zeros_like(lengths)
        weights[there] = bargain(gram) / lengths[there]
        return weights


def bargain(gram: Tensor, steps: int = 200) -> Tensor:
    """argmin over a > 0 of ½ aᵀGa - Σ log a_t. The function is self-concordant: Newton steps
    shortened by 1 / (1 + λ), λ the Newton decrement, stay inside and converge."""
    a = gram.sum(1).clamp(min=1e-3).rsqrt()
    for _ in range(steps):
        slope = gram @ a - 1 / a
        step = torch.linalg.solve(gram + torch.diag(a**-2), slope)
        decrement = (slope @ step).clamp(min=0).sqrt()
        a = a - step / (1 + decrement)
        if decrement < 1e-10:
            break
    return a
