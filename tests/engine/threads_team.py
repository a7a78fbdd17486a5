"""A team whose ranks are threads of this process."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any

import torch
from torch import Tensor

from metacli.engine.ranks.team import Team


def team_of(size: int) -> list[Team]:
    """Ranks that reach each other while each of them runs in a thread."""
    given: list[Tensor | None] = [None] * size
    barrier = Barrier(size, timeout=60)

    def exchange(rank: int, mine: Tensor) -> list[Tensor]:
        given[rank] = mine.clone()
        barrier.wait()
        found = [one.clone() for one in given if one is not None]
        barrier.wait()  # nobody gives the next one before all have read
        return found

    def leave() -> None:
        barrier.abort()  # BrokenBarrierError is a RuntimeError, as a closed connection is

    return [
        Team(rank, size, lambda mine, rank=rank: exchange(rank, mine), leave)
        for rank in range(size)
    ]


def on_ranks(work: Callable[[Team], Any], size: int = 2) -> list[Any]:
    """What `work` gives on every rank."""

    def alone(team: Team) -> Any:
        torch.set_num_threads(1)
        return work(team)

    with ThreadPoolExecutor(size) as pool:
        return [one.result() for one in [pool.submit(alone, team) for team in team_of(size)]]
