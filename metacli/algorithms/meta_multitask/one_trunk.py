"""Learners of sets with one trunk for the tasks that see each other: full sharing.

Sets are divided by which of their tasks see each other, and tasks that share everything are
computed with one copy of the trunk, which is several times less to move than a copy for each.

Shape letters: B sets, T tasks, Q query points.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, NamedTuple

import torch
from torch import Tensor

from metacli.algorithms.meta_multitask.base import StepLearner
from metacli.algorithms.meta_multitask.protocol import alone, together
from metacli.algorithms.meta_multitask.steps import uniform
from metacli.nn.set_problem import SetProblem
from metacli.types import Batch, Params, SetEpisode

Seeing = Literal["together", "alone", "partly"]


class Part(NamedTuple):
    """The sets `rows` (int64) of a meta-batch, all of which see in one way."""

    rows: Tensor
    seeing: Seeing


@dataclass(frozen=True, kw_only=True)
class OneTrunk(StepLearner):
    """Tasks that see each other take the same steps of the trunk, the mean of their gradients."""

    def means(
        self, problem: SetProblem, params: Params, episodes: SetEpisode, sees: Tensor
    ) -> Tensor:
        network, found = self.of(problem), []
        for part in divided(episodes.roles, sees):
            here = taken(episodes, part)
            phi = self.adapted(problem, params, here, sees[part.rows], part.seeing)
            found.append((part, network.forward(phi, here.query.x)))
        return restored(found, episodes.roles.shape[1])

    def fitted(
        self, problem: SetProblem, params: Params, episodes: SetEpisode, sees: Tensor
    ) -> Params:
        (part,) = divided(episodes.roles, sees)
        here = taken(episodes, part)
        return self.adapted(problem, params, here, sees[part.rows], part.seeing)

    def adapted(
        self,
        problem: SetProblem,
        params: Params,
        episodes: SetEpisode,
        sees: Tensor,
        seeing: Seeing,
    ) -> Params:
        """φ of sets that see in one way; copies [B, 1, ...] of the trunk unless that is `partly`,
        an equivalence of some tasks."""
        network, whole = self.of(problem), seeing != "partly"
        moves = frozenset(self.moved(problem))
        copies = network.copies(params, episodes.roles, one_trunk=whole, moves=moves)
        coupling = episodes.roles.shape[1] if whole else uniform(sees, params["head.bias"].dtype)
        return self.moving(problem, params, copies, episodes.support, coupling)


def divided(roles: Tensor, sees: Tensor) -> Iterator[Part]:
    """The parts of a meta-batch; empty ones are left out."""
    joint = (sees == together(roles)).flatten(1).all(1)
    apart = (sees == alone(roles)).flatten(1).all(1) & ~joint
    kinds: tuple[tuple[Seeing, Tensor], ...] = (
        ("together", joint),
        ("alone", apart),
        ("partly", ~joint & ~apart),
    )
    for seeing, chosen in kinds:
        rows = chosen.nonzero()[:, 0]
        if len(rows):
            yield Part(rows, seeing)


def taken(episodes: SetEpisode, part: Part) -> SetEpisode:
    """The sets of a part. Where tasks are alone, each is a set of its own, [B T, 1, ...]."""

    def of(value: Tensor) -> Tensor:
        chosen = value if len(part.rows) == len(value) else value[part.rows]
        return chosen.flatten(0, 1)[:, None] if part.seeing == "alone" else chosen

    def half(batch: Batch) -> Batch:
        return Batch(of(batch.x), of(batch.y), None if batch.mask is None else of(batch.mask))

    ways = None if episodes.ways is None else of(episodes.ways)
    return SetEpisode(half(episodes.support), half(episodes.query), of(episodes.roles), ways)


def restored(parts: list[tuple[Part, Tensor]], tasks: int) -> Tensor:
    """What was computed for the parts, [B, T, Q] in the order of the meta-batch."""
    whole = torch.cat([value.reshape(-1, tasks, value.shape[-1]) for _, value in parts])
    order = torch.cat([part.rows for part, _ in parts])
    return whole if len(parts) == 1 else whole[torch.argsort(order)]
