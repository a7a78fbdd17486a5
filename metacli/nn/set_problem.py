"""`SetProblem`: the network that answers a set of tasks, without its weights, and what "wrong"
means."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Literal, Protocol

import torch
from torch import Tensor

from metacli.types import Batch, Params


class SetNetwork(Protocol):
    """A network whose weights are a dict."""

    def init(self, seed: int, dtype: torch.dtype = torch.float32) -> Params:
        """Fresh weights."""
        ...


@dataclass(frozen=True)
class SetProblem:
    """The network of a learner of sets, `learner.network(inputs, roles)`, with its metric.

    Args:
        network: whose weights θ are. chunk: sets computed together by `torch.vmap`, where a
        learner's steps are per set.
        kind: of the tasks; mixed: some tasks of a set are regressions, the others classifications.
        shared_labels: class n is the same in every task of a set.
    """

    network: SetNetwork
    chunk: int = 32
    kind: Literal["regression", "classification", "mixed"] = "regression"
    metric_name: str = "mse"
    shared_labels: bool = False

    @cached_property
    def trainable(self) -> frozenset[str]:
        """Names of what the optimiser sees."""
        return frozenset(self.network.init(0))

    def init(self, seed: int, dtype: torch.dtype = torch.float32) -> Params:
        """Fresh θ."""
        return self.network.init(seed, dtype)

    def error(self, prediction: Tensor, query: Batch) -> Tensor:
        """The squared error of each set, [B], mean over its tasks and queries that count."""
        return mean_of_sets((prediction - query.y).square(), query.mask)


def mean_of_sets(values: Tensor, mask: Tensor | None) -> Tensor:
    """[B, T, Q] -> [B], over what the mask lets count."""
    if mask is None:
        return values.flatten(1).mean(1)
    counted = mask.to(values.dtype)
    return (values * counted).flatten(1).sum(1) / counted.flatten(1).sum(1).clamp(min=1)
