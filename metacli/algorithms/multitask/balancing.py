"""The two ways of balancing tasks. They are two protocols because their cost differs: one backward
pass against one for each task."""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor

from metacli.types import Params, State


class Weighting(Protocol):
    """One backward pass.

    `needs_norms`: the norm of each task's gradient at the last shared layer is wanted.
    """

    @property
    def needs_norms(self) -> bool: ...

    def init(self, tasks: int) -> tuple[Params, State]:
        """Learned numbers (trained with the network) and memory."""
        ...

    def objective(
        self,
        losses: Tensor,
        norms: Tensor | None,
        params: Params,
        state: State,
        rng: torch.Generator,
    ) -> tuple[Tensor, State]:
        """The scalar to differentiate, from losses [T] and gradient norms [T]; and the memory."""
        ...


class Surgery(Protocol):
    """T backward passes; sees no network."""

    def combine(self, rows: Tensor, rng: torch.Generator) -> Tensor:
        """The direction [P] from the tasks' gradients J, [T, P]."""
        ...
