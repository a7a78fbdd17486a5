"""For each task one of two networks, the one that it shares or its own, or the mean of both."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from metacli.nn.multi_task import STATISTICS, Encoder, TaskProblem
from metacli.nn.sharing.grouped import inside
from metacli.types import Params

TOGETHER, ALONE, BOTH = "together", "alone", "both"
"""Whose answer is a task's: the shared network's, its own one's, or the mean of the two."""


@dataclass(frozen=True)
class ChosenProblem:
    """A model to be used, not to be trained. What it says of the tasks is what the shared network's
    `TaskProblem` says.

    Args:
        together, alone: whose parameters are under `together.` and `alone.`; statistics are common.
        answers: of each task `TOGETHER`, `ALONE` or `BOTH`.
    """

    together: TaskProblem
    alone: TaskProblem
    answers: tuple[str, ...]

    @property
    def kind(self) -> str:
        return self.together.kind

    @property
    def binary(self) -> tuple[bool, ...]:
        return self.together.binary

    @property
    def classes(self) -> tuple[int, ...]:
        return self.together.classes

    @property
    def outputs(self) -> int:
        return self.together.outputs

    @property
    def num_tasks(self) -> int:
        return self.together.num_tasks

    @property
    def metric_name(self) -> str:
        return self.together.metric_name

    @property
    def sizes(self) -> tuple[int, ...]:
        return self.together.sizes

    @property
    def encoder(self) -> Encoder | None:
        return self.together.encoder

    @property
    def apart(self) -> bool:
        return self.together.apart

    @property
    def one_network(self) -> bool:
        return self.together.one_network

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
        """As `TaskProblem.predict`; of both networks the mean of values or probabilities."""
        common = {name: params[name] for name in STATISTICS}
        first = self.together.predict({**inside(params, "together."), **common}, x)
        second = self.alone.predict({**inside(params, "alone."), **common}, x)
        shape = (-1, *[1] * (first.dim() - 1))
        together, both = (
            torch.tensor([one == whose for one in self.answers], device=first.device).view(shape)
            for whose in (TOGETHER, BOTH)
        )
        found = torch.where(together, first, second)
        return torch.where(both, 0.5 * first + 0.5 * second, found)
