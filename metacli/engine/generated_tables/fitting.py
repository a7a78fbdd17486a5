"""Training of a prior-data fitted network: S. Müller, N. Hollmann, S. Pineda Arango, J. Grabocka,
F. Hutter, "Transformers Can Do Bayesian Inference", ICLR 2022, https://arxiv.org/abs/2112.10510,
equation 2.

    θ = arg min E over generated tables of −log q_θ(y | x, (x_1, y_1), ..., (x_M, y_M))

The tables of a group have one shape, so a group is one pass of the network; a step takes the mean
over its groups. Values are read in standard deviations of the support's from their mean, and far
ones count like those at six.

Shape letters: B tables, M support rows, Q query rows, C columns.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from metacli.algorithms.meta.tables_prior import FARTHEST, TablesPrior
from metacli.algorithms.transfer.in_context import NETWORK, weights_of
from metacli.autodiff import gradient
from metacli.nn.problem import Problem
from metacli.nn.tables.answers import Mixture
from metacli.nn.tables.labels import moments, of_classes, of_values
from metacli.trees import add_scaled, map_params
from metacli.types import Params, State, Update


class Group(NamedTuple):
    """Tables of one shape.

    Args:
        cells: [B, M + Q, C, 2], the value of a cell and what it is.
        y: [B, M + Q] labels, or values of a regression.
        support: M. classes: their number, 0 of a regression.
    """

    cells: Tensor
    y: Tensor
    support: int
    classes: int


@dataclass(frozen=True)
class PriorFitting:
    """Args:
    learner: whose network is trained.
    """

    learner: TablesPrior

    def init(self, problem: Problem, params: Params) -> tuple[Params, State]:
        return self.learner.init(problem, params)

    def direction(
        self,
        problem: Problem,
        params: Params,
        batch: Sequence[Group],
        state: State,
        rng: torch.Generator,
    ) -> Update:
        total, losses = map_params(torch.zeros_like, params), []
        for group in batch:
            found, loss = gradient(partial(with_value, group), params)
            total = add_scaled(total, found, 1 / len(batch))
            losses.append(loss)
        return Update(total, state, {"query_loss": torch.stack(losses).mean()}, {})


def with_value(group: Group, params: Params) -> tuple[Tensor, Tensor]:
    """The mean loss of the tables, to be differentiated and to be told."""
    loss = table_losses(params, group).mean()
    return loss, loss


def table_losses(params: Params, group: Group) -> Tensor:
    """−log q of the query rows of each table, the mean over rows, [B]."""
    weights, (cells, y, support, classes) = weights_of(params), group
    known, asked = y[:, :support], y[:, support:]
    if classes:
        logs = torch.log_softmax(logits_of(weights, group), -1)
        return -logs.gather(2, asked.long()[..., None])[..., 0].mean(1)
    mean, spread = moments(known)
    z = ((asked - mean) / spread).clamp(-FARTHEST, FARTHEST)
    return -NETWORK.mixture(weights, cells, of_values(known)).log_density(z).mean(1)


def logits_of(weights: Params, group: Group) -> Tensor:
    """Of the query rows of classifications, [B, Q, N]."""
    labels = group.y[:, : group.support].long()
    member = F.one_hot(labels, group.classes).to(group.cells.dtype)
    return NETWORK.logits(weights, group.cells, of_classes(member))


def mixture_of(weights: Params, group: Group) -> Mixture:
    """Of the query rows of regressions, in standard deviations of the support."""
    return NETWORK.mixture(weights, group.cells, of_values(group.y[:, : group.support]))
