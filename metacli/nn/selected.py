"""For each task one of two networks: the one that it shares, or its own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from metacli.nn.multi_task import STATISTICS, TaskProblem
from metacli.nn.sharing.grouped import inside
from metacli.types import Params


@dataclass(frozen=True)
class ChosenProblem:
    """A model to be used, not to be trained. Anything else that is asked of it is as of the shared
    network's `TaskProblem`.

    Args:
        together, alone: whose parameters are under `together.` and `alone.`; statistics are common.
        shares: whether a task's answer is that of the shared network.
    """

    together: TaskProblem
    alone: TaskProblem
    shares: tuple[bool, ...]

    sharing = None

    def __getattr__(self, name: str) -> Any:
        if name in ("together", "alone", "shares"):
            raise AttributeError(name)  # while it is being made or copied
        return getattr(self.together, name)

    def init(self, seed: int) -> Params:
        return self.joined(self.together.init(seed), self.alone.init(seed))

    def joined(self, together: Params, alone: Params) -> Params:
        """The parameters of both, and the statistics of the first."""
        both = {
            f"{prefix}.{name}": value
            for prefix, params in (("together", together), ("alone", alone))
            for name, value in params.items()
            if name not in STATISTICS
        }
        return {**both, **{name: together[name] for name in STATISTICS}}

    def predict(self, params: Params, x: Tensor) -> Tensor:
        """As `TaskProblem.predict`."""
        common = {name: params[name] for name in STATISTICS}
        first = self.together.predict({**inside(params, "together."), **common}, x)
        second = self.alone.predict({**inside(params, "alone."), **common}, x)
        shares = torch.tensor(self.shares, device=first.device)
        return torch.where(shares.view(-1, *[1] * (first.dim() - 1)), first, second)
