"""Groups of tasks that share with each other and with nobody else: a network for each group.

Every group has the parameters of the scheme for its own tasks under `group.<n>.`; a group of one is
a task by itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from metacli.nn.sharing.scheme import Block, Sharing, Solvable
from metacli.types import Batch, Params


@dataclass(frozen=True)
class Grouped(Sharing):
    """Any scheme, group by group.

    Args:
        scheme: what a group shares.
        groups: task numbers; each task is in one of them.
    """

    scheme: Sharing
    groups: tuple[tuple[int, ...], ...]

    @property
    def needs_trunk(self) -> bool:
        return self.scheme.needs_trunk

    @property
    def sparse(self) -> bool:
        return self.scheme.sparse

    def init(self, sizes: Sequence[int], tasks: int, rng: torch.Generator) -> Params:
        """Every group begins as it would by itself."""
        begin, found = rng.get_state(), {}
        for number, group in enumerate(self.groups):
            rng.set_state(begin)
            own = self.scheme.init(sizes, len(group), rng)
            found.update({f"group.{number}.{name}": value for name, value in own.items()})
        return found

    def forward(self, params: Params, x: Tensor) -> Tensor:
        outs = [
            self.scheme.forward(own, x if x.dim() == 2 else x.index_select(0, at(group, x)))
            for group, own in self._parts(params)
        ]
        order = torch.tensor([task for group in self.groups for task in group])
        return torch.cat(outs)[order.argsort()]

    def penalty(self, params: Params) -> Tensor:
        """Weighted by the tasks of a group, as the mean of the losses is."""
        total = sum(len(group) for group in self.groups)
        parts = [len(g) / total * self.scheme.penalty(own) for g, own in self._parts(params)]
        return torch.stack(parts).sum()

    def shared(self, names: Sequence[str]) -> tuple[str, ...]:
        """Nothing is shared by all."""
        return ()

    def blocks(self, names: Sequence[str], tasks: int) -> list[Block]:
        """For each group its tasks and the names that these share."""
        found = []
        for number, group in enumerate(self.groups):
            prefix = f"group.{number}."
            own = [name.removeprefix(prefix) for name in names if name.startswith(prefix)]
            found.append((group, tuple(prefix + name for name in self.scheme.shared(own))))
        return found

    def _parts(self, params: Params) -> list[tuple[tuple[int, ...], Params]]:
        return [
            (group, inside(params, f"group.{number}.")) for number, group in enumerate(self.groups)
        ]


@dataclass(frozen=True)
class GroupedSolved(Grouped):
    """The same for a scheme with an exact solution."""

    solver: Solvable

    def solve(
        self, batch: Batch, rng: torch.Generator, binary: Tensor | None = None
    ) -> tuple[Params, Tensor]:
        found: Params = {}
        scores = []
        for number, group in enumerate(self.groups):
            own, errors = self.solver.solve(rows_of(batch, group), rng, of(binary, group))
            found.update({f"group.{number}.{name}": value for name, value in own.items()})
            scores.append(errors.min() * len(group))
        mean = torch.stack(scores).sum() / sum(len(group) for group in self.groups)
        return found, mean[None]

    def refit(self, batch: Batch, params: Params, binary: Tensor | None = None) -> Params:
        found: Params = {}
        for number, (group, own) in enumerate(self._parts(params)):
            again = self.solver.refit(rows_of(batch, group), own, of(binary, group))
            found.update({f"group.{number}.{name}": value for name, value in again.items()})
        return found


def grouped(scheme: Sharing, groups: tuple[tuple[int, ...], ...]) -> Grouped:
    if isinstance(scheme, Solvable):
        return GroupedSolved(scheme, groups, scheme)
    return Grouped(scheme, groups)


def inside(params: Params, prefix: str) -> Params:
    """The parameters below a prefix, without it."""
    return {
        name.removeprefix(prefix): value
        for name, value in params.items()
        if name.startswith(prefix)
    }


def of(binary: Tensor | None, tasks: Sequence[int]) -> Tensor | None:
    return None if binary is None else binary[list(tasks)]


def at(group: Sequence[int], x: Tensor) -> Tensor:
    """The tasks as an index; of sparse rows there is no other way to take them."""
    return torch.tensor(group, device=x.device)


def rows_of(batch: Batch, tasks: Sequence[int]) -> Batch:
    """The batch of some tasks."""
    chosen = list(tasks)
    x = batch.x if batch.x.dim() == 2 else batch.x.index_select(0, at(chosen, batch.x))
    return Batch(x, batch.y[chosen], None if batch.mask is None else batch.mask[chosen])
