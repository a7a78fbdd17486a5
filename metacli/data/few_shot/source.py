"""What training and evaluation ask of a source of episodes, whatever the episodes are made of."""

from __future__ import annotations

from typing import Protocol

from metacli.data.draws import Key
from metacli.types import Episode, TaskSpec


class EpisodeSource(Protocol):
    """Episodes addressed by their number: episode i is the same on every machine.

    `ClassEpisodes` draws them from a pool of classes, `RegressionEpisodes` from a set of regression
    tasks, `Sinusoids` makes them.
    """

    @property
    def spec(self) -> TaskSpec:
        """What the episodes look like."""
        ...

    @property
    def digest(self) -> str:
        """SHA-256 hex of the data that they are drawn from."""
        ...

    @property
    def seed(self) -> tuple[Key, ...]:
        """Names the stream of episodes."""
        ...

    @property
    def meta_batch(self) -> int:
        """Episodes that share one draw of way and shot, B."""
        ...

    def episode(self, index: int) -> Episode:
        """Episode `index`."""
        ...

    def meta_batch_at(self, step: int) -> Episode:
        """Episodes step*B .. step*B+B-1, stacked with a leading [B]."""
        ...

    def part_at(self, step: int, begin: int, end: int) -> Episode:
        """Tasks begin .. end-1 of the meta-batch of a step, without the others being drawn."""
        ...
