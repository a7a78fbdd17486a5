"""Soft sharing by pairs: each task has a network of its own, pulled to the tasks related to it.

Given a coupling matrix C (T. Evgeniou, C. Micchelli, M. Pontil, JMLR 6 (2005), section 3.1.2):

    mean_t L_t(θ_t) + strength/T · ½ Σ_tu C_tu ||θ_t - θ_u||²

C_tu = 1/T for all pairs is the pull to the mean of `soft-l2`. Learned (Y. Zhang, D.-Y. Yeung, "A
convex formulation for learning task relationships", UAI 2010, equation 5): with Θ [T, P] the
networks as rows, the covariance Ω of tasks, tr Ω = 1, minimises tr(Θᵀ Ω⁻¹ Θ); its minimum is at Ω =
(ΘΘᵀ)^½ / tr (ΘΘᵀ)^½ and has the value (tr (ΘΘᵀ)^½)², the squared trace norm, which is what is
added, so that Ω is always the best one and no alternation is needed. Related tasks may have
opposite signs there.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

import torch
from annotated_types import Ge
from torch import Tensor

from metacli.nn.sharing.soft_l2 import SoftL2
from metacli.types import Params

EPS = 1e-6


@dataclass(frozen=True, kw_only=True)
class SoftPairwise(SoftL2):
    """Options.

    Args:
        strength: of the pull.
        coupling: `learned`, or C: a row for each task.
    """

    strength: Annotated[float, Ge(0)] = 0.01
    coupling: Literal["learned"] | tuple[tuple[Annotated[float, Ge(0)], ...], ...] = "learned"

    def wrong(self, tasks: int) -> str | None:
        """What is wrong with the options for so many tasks."""
        given = self.coupling
        if given == "learned" or len(given) == tasks == min(map(len, given)) == max(
            map(len, given)
        ):
            return None
        return f"coupling must be {tasks} rows of {tasks} numbers, or learned"

    def penalty(self, params: Params) -> Tensor:
        theta = torch.cat(
            [value.reshape(len(value), -1) for value in self._own(params)], 1
        )  # [T, P]
        gram = theta @ theta.T
        if self.coupling == "learned":
            eye = EPS * torch.eye(len(gram), dtype=gram.dtype, device=gram.device)
            pull = torch.linalg.eigvalsh(gram + eye).clamp(min=EPS).sqrt().sum().square()
        else:
            c = torch.tensor(self.coupling, dtype=gram.dtype, device=gram.device)
            squares = gram.diagonal()
            pull = 0.5 * (c * (squares[:, None] + squares - 2 * gram)).sum()
        result: Tensor = self.strength * pull / len(gram)
        return result

    def covariance(self, params: Params) -> Tensor:
        """The learned Ω, [T, T]: how the tasks are related."""
        theta = torch.cat(
            [value.reshape(len(value), -1) for value in self._own(params)], 1
        ).double()
        values, vectors = torch.linalg.eigh(theta @ theta.T)
        root = (vectors * values.clamp(min=0).sqrt()) @ vectors.T
        result: Tensor = root / root.trace()
        return result
