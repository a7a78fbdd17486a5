"""The processes of one training and what they tell each other: gradients, scores, and when to end.

Every rank runs the same code on its own share of the work, so that whatever follows from the shared
values is the same on all of them. What does not (a signal, a clock) is agreed on, once a step.
Values are gathered and added in the order of the ranks: the same bits for a number of ranks,
whatever the network does. A rank that leaves takes part in nothing more; the others learn of it
where they wait for it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import timedelta

import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor

from metacli.engine.ranks.launched import Launch
from metacli.engine.training.dropping import StepDropped
from metacli.errors import EnvironmentProblem
from metacli.types import Params

Exchange = Callable[[Tensor], list[Tensor]]
"""A tensor to those of all ranks in their order, which are of one shape."""
PATIENCE = timedelta(minutes=30)  # compiling and a first download are waited for


class PeerLost(StepDropped):
    """Another rank is not there any more: the step that it has a share of is dropped."""


@dataclass
class Team:
    """The ranks of a training as one of them sees it; alone by default.

    Args:
        exchange: how it reaches the others. leaving: how it says that it will not answer any more.
        excused: whether a rank may end now: after a signal, or where the time is over.
        lost: a rank ended without one of these.
        heard: the number of a signal that any rank has got.
    """

    rank: int = 0
    size: int = 1
    exchange: Exchange = lambda mine: [mine]
    leaving: Callable[[], None] = lambda: None
    excused: Callable[[], bool] = lambda: False
    lost: bool = False
    heard: int | None = None
    gone: bool = field(default=False, repr=False)

    @property
    def leads(self) -> bool:
        """Whether it writes and prints."""
        return self.rank == 0

    def share(self, total: int, unit: int = 1) -> tuple[int, int]:
        """The first of `total` things that are this rank's, and the one after its last; whole
        units, as even as they can be."""
        units = -(-total // unit)
        first, last = (units * rank // self.size for rank in (self.rank, self.rank + 1))
        return min(first * unit, total), min(last * unit, total)

    def gather(self, mine: Tensor) -> list[Tensor]:
        """Each rank's tensor, all of one shape. Raises PeerLost."""
        if self.size == 1:
            return [mine]
        if self.gone:
            raise PeerLost
        try:
            return self.exchange(mine)
        except RuntimeError as error:  # what torch.distributed raises for a closed connection
            self.lost = not self.excused()
            self.leave()
            raise PeerLost from error
        except BaseException:
            self.leave()
            raise

    def add(self, mine: Tensor) -> Tensor:
        """The sum over the ranks, in their order."""
        if self.size == 1:
            return mine
        first, *others = self.gather(mine)
        for one in others:
            first = first + one
        return first

    def add_all(self, mine: Params) -> Params:
        """`add` of every tensor, by one exchange for each type of number."""
        found: Params = {}
        kinds = {name: f"{value.dtype} {value.device.type}" for name, value in mine.items()}
        for kind in sorted(set(kinds.values())):
            names = sorted(name for name in mine if kinds[name] == kind)
            total = self.add(torch.cat([mine[name].detach().reshape(-1) for name in names]))
            pieces = total.split([mine[name].numel() for name in names])
            found |= {n: one.view_as(mine[n]) for n, one in zip(names, pieces, strict=True)}
        return {name: found[name] for name in mine}

    def agree(self, number: int | None, over: bool) -> bool:
        """Whether training ends now: one rank got a signal or says that it is over, or is lost."""
        if self.size == 1:
            return number is not None or over
        try:
            flags = torch.stack(self.gather(torch.tensor([number or 0, int(over)])))
        except PeerLost:
            return True
        if int(flags[:, 0].max()):
            self.heard = int(flags[:, 0].max())
        return bool(flags.any())

    def of_first(self, mine: float) -> float:
        """Rank 0's number; one's own where the team is gone."""
        try:
            return float(self.gather(torch.tensor([mine], dtype=torch.float64))[0])
        except PeerLost:
            return mine

    def bytes_of_first(self, mine: bytes) -> bytes:
        """What rank 0 has, whatever the others give. Raises PeerLost."""
        size = int(self.gather(torch.tensor([len(mine)]))[0])
        sent = torch.zeros(size, dtype=torch.uint8)
        if self.leads:
            sent.copy_(torch.frombuffer(bytearray(mine), dtype=torch.uint8))
        return bytes(self.gather(sent)[0].numpy().tobytes())

    def collected(
        self, compute: Callable[[int, int], np.ndarray], total: int, unit: int = 1
    ) -> np.ndarray:
        """The values [total] of compute(first, last), of which every rank computes its share.

        Raises:
            StepDropped: another rank was stopped. PeerLost: it is not there any more.
        """
        if self.size == 1:
            return compute(0, total)
        first, last = self.share(total, unit)
        try:
            mine = compute(first, last) if first < last else np.empty(0)
        except BaseException:
            with suppress(StepDropped):  # a word to the others, who wait for it
                self.joined(None, total, unit)
            raise
        return self.joined(mine, total, unit)

    def joined(self, mine: np.ndarray | None, total: int, unit: int = 1) -> np.ndarray:
        """The values [total] of which this rank has its `share`; None: it was stopped before it
        had them.

        Raises:
            StepDropped: another rank was stopped. PeerLost: it is not there any more.
        """
        whole = torch.zeros(total + 1, dtype=torch.float64)
        if mine is not None:
            first, last = self.share(total, unit)
            whole[first:last] = torch.from_numpy(np.asarray(mine, np.float64))
            whole[-1] = 1
        found = torch.stack(self.gather(whole))
        if not bool(found[:, -1].all()):
            raise StepDropped
        parts = [Team(rank, self.size).share(total, unit) for rank in range(self.size)]
        rows = [one[a:b] for one, (a, b) in zip(found, parts, strict=True)]
        return torch.cat(rows).numpy()

    def leave(self) -> None:
        """Take part in nothing more."""
        if not self.gone:
            self.gone = True
            self.leaving()


@contextmanager
def joined(launch: Launch) -> Iterator[Team]:
    """The team of this process: alone, or the ranks that were launched, over gloo in the CPU's
    memory and NCCL between GPUs.

    Raises:
        EnvironmentProblem: the process is in a group of its own program already.
    """
    if launch.size == 1:
        yield Team()
        return
    if dist.is_initialized():
        raise EnvironmentProblem(
            "torch.distributed is initialised already, and metacli makes a group of its own",
            code="environment.process_group",
            hint="call metacli first, or in a program that torchrun did not start",
        )
    cuda = torch.cuda.is_available()
    if cuda:
        torch.cuda.set_device(launch.local % torch.cuda.device_count())
    dist.init_process_group("cpu:gloo,cuda:nccl" if cuda else "gloo", timeout=PATIENCE)
    team = Team(launch.rank, launch.size, gathered, dist.destroy_process_group)
    try:
        yield team
    finally:
        team.leave()


def gathered(mine: Tensor) -> list[Tensor]:
    """`Exchange` by torch.distributed."""
    mine = mine.contiguous()
    found = [torch.empty_like(mine) for _ in range(dist.get_world_size())]
    dist.all_gather(found, mine)
    return found
