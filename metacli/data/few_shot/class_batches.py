"""Episodes whose labels are the classes of the pool, for what learns all of them at once."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from metacli.data.few_shot.episodes import ClassEpisodes, EpisodeMembers
from metacli.data.few_shot.pools import Pool
from metacli.types import Batch, Episode

TURNS = 4


def num_labels(pool: Pool) -> int:
    """Classes of the pool; each of its four quarter turns is one where episodes draw their own."""
    return len(pool.classes) * (TURNS if pool.random_turns else 1)


@dataclass(frozen=True)
class ClassBatches:
    """The meta-batches of a source, image by image, with labels 0..`num_labels(pool)` - 1."""

    episodes: ClassEpisodes

    def meta_batch_at(self, step: int) -> Episode:
        """As `ClassEpisodes.meta_batch_at`, with the same images."""
        return self.part_at(step, 0, self.episodes.meta_batch)

    def part_at(self, step: int, begin: int, end: int) -> Episode:
        """Tasks begin .. end-1 of the meta-batch of a step."""
        source = self.episodes
        first = step * source.meta_batch
        drawn = [source.members(first + i) for i in range(begin, end)]
        labels = torch.tensor([self._labels(members) for members in drawn])  # [B, N]
        support, query = source.part_at(step, begin, end)
        return Episode(_relabelled(support, labels), _relabelled(query, labels))

    def _labels(self, members: EpisodeMembers) -> list[int]:
        if not self.episodes.pool.random_turns:
            return list(members.classes)
        pairs = zip(members.classes, members.turns, strict=True)
        return [of_class * TURNS + turn for of_class, turn in pairs]


def _relabelled(half: Batch, labels: Tensor) -> Batch:
    return half._replace(y=labels.gather(1, half.y))
