"""Random loss weighting: w = T softmax(z), z ~ N(0, I) anew in every step; (1/T) Σ w_t L_t.

B. Lin et al., "Reasonable effectiveness of random weighting", TMLR 2022, section 3. The expected
direction is that of equal weights.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from metacli.types import Params, State


@dataclass(frozen=True, kw_only=True)
class RLW:
    """Nothing to set."""

    needs_norms: ClassVar[bool] = False

    def init(self, tasks: int) -> tuple[Params, State]:
        return {}, {}

    def objective(
        self,
        losses: Tensor,
        norms: Tensor | None,
        params: Params,
        state: State,
        rng: torch.Generator,
    ) -> tuple[Tensor, State]:
        z = torch.randn(len(losses), generator=rng, dtype=losses.dtype)
        return (torch.softmax(z, 0) * losses).sum(), state
