"""Equal weights: mean_t L_t. What every other weighting has to beat (D. Xin et al., "Do current
multi-task optimization methods in deep learning even help?", NeurIPS 2022)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from metacli.types import Params, State


@dataclass(frozen=True, kw_only=True)
class Equal:
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
        return losses.mean(), state
