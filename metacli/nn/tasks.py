"""`TaskProblem`: the network of many tasks without its weights, and what "wrong" means for each.

The first layer standardises x, the last one gives a regression its unit back, with statistics that
are part of θ (`input.*`, `target.*`), so that a saved model needs nothing else.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from metacli.types import Batch, Params

STATISTICS = ("input.mean", "input.scale", "target.mean", "target.scale")


@dataclass(frozen=True)
class TaskProblem:
    """The network of all tasks.

    Args:
        sharing: the scheme (`nn.sharing`).
        sizes: columns D and the trunk's hidden units.
        binary: whether each task is a classification, [T].
        metric_name: by which the tasks together are judged.
    """

    sharing: Any
    sizes: tuple[int, ...]
    binary: tuple[bool, ...]
    metric_name: str = "loss"

    @property
    def kind(self) -> str:
        """Whether the metric is an error (`regression`) or a success, as `Problem.kind` tells."""
        errors = ("loss", "nmse", "rmse")
        return "regression" if self.metric_name in errors else "classification"

    @property
    def num_tasks(self) -> int:
        return len(self.binary)

    @cached_property
    def trainable(self) -> frozenset[str]:
        """Names of what the optimiser sees."""
        return frozenset(self.init(0)) - frozenset((*STATISTICS, "ridge.penalties"))

    @cached_property
    def shared(self) -> tuple[str, ...]:
        """Names of the parameters that all tasks share, first layer first."""
        return self.sharing.shared(tuple(self.init(0)))

    @cached_property
    def is_binary(self) -> Tensor:
        return torch.tensor(self.binary)

    def init(self, seed: int) -> Params:
        """Fresh θ; statistics that change nothing, to be replaced by those of the training
        rows."""
        rng = torch.Generator().manual_seed(seed)
        params = self.sharing.init(self.sizes, self.num_tasks, rng)
        dtype = params["heads.bias"].dtype
        columns, tasks = self.sizes[0], self.num_tasks
        return {
            **params,
            "input.mean": torch.zeros(columns, dtype=dtype),
            "input.scale": torch.ones(columns, dtype=dtype),
            "target.mean": torch.zeros(tasks, dtype=dtype),
            "target.scale": torch.ones(tasks, dtype=dtype),
        }

    def inputs(self, params: Params, x: Tensor) -> Tensor:
        """x as the network sees it."""
        return (x.to(params["input.mean"].dtype) - params["input.mean"]) / params["input.scale"]

    def outputs(self, params: Params, x: Tensor) -> Tensor:
        """Standardised values or logits [T, M]."""
        return self.sharing.forward(params, self.inputs(params, x))

    def predict(self, params: Params, x: Tensor) -> Tensor:
        """[T, M]: values in the target's unit, or the probability of class 1."""
        out = self.outputs(params, x)
        values = out * params["target.scale"][:, None] + params["target.mean"][:, None]
        return torch.where(self.is_binary[:, None].to(out.device), torch.sigmoid(out), values)

    def standardised(self, params: Params, batch: Batch) -> Batch:
        """The batch with x and y as the losses see them."""
        y = batch.y.to(params["target.mean"].dtype)
        y = (y - params["target.mean"][:, None]) / params["target.scale"][:, None]
        return Batch(self.inputs(params, batch.x), y, batch.mask)

    def losses(self, params: Params, batch: Batch) -> Tensor:
        """The mean loss of each task, [T]: squared error of standardised targets, or
        cross-entropy."""
        seen = self.standardised(params, batch)
        out = self.sharing.forward(params, seen.x)
        squared = (out - seen.y).square()
        if any(self.binary):
            crossed = F.binary_cross_entropy_with_logits(out, seen.y, reduction="none")
            squared = torch.where(self.is_binary[:, None].to(out.device), crossed, squared)
        if seen.mask is None:
            return squared.mean(1)
        return torch.where(seen.mask, squared, 0).sum(1) / seen.mask.sum(1).clamp(min=1)

    def penalty(self, params: Params) -> Tensor:
        return self.sharing.penalty(params)
