"""Episodes of any labelled `Dataset` of torch, for a training loop of one's own."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from metacli.data.draws import integers, partial_shuffle, stream
from metacli.errors import DataError
from metacli.types import Batch, Episode

Label = int | str


class Labelled(Protocol):
    """A map-style dataset: item i is (x, label), x a tensor of one shape for all."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int, /) -> tuple[Tensor, Tensor | Label]: ...


@dataclass(frozen=True)
class DatasetEpisodes:
    """N-way K-shot episodes; `episodes` makes them.

    Item i is one task, `batch(step, tasks)` is a meta-batch with a leading task axis. Episode i
    comes from a generator named by (seed, i), and so is the same on every machine; classes get the
    labels 0..N-1 in the order of the draw, and support and query share no example.
    """

    dataset: Labelled
    rows: dict[Label, list[int]] = field(repr=False)
    way: int
    shot: int
    query: int
    seed: int

    @property
    def classes(self) -> list[Label]:
        """The labels of the dataset, in the order of their first example."""
        return list(self.rows)

    def __getitem__(self, index: int) -> Episode:
        """Episode `index`: support.x [N*K, ...], query.x [N*Q, ...], y of type int64."""
        words = stream("dataset", self.seed, index).random_raw(
            self.way * (1 + self.shot + self.query)
        )
        every = self.classes
        bounds = np.arange(len(every), len(every) - self.way, -1)
        drawn = partial_shuffle(integers(words[: self.way], bounds).tolist())
        halves: tuple[list[int], list[int]] = ([], [])
        for label, chosen in enumerate(drawn):
            own, count = self.rows[every[chosen]], self.shot + self.query
            word = words[self.way + label * count :][:count]
            jumps = integers(word, np.arange(len(own), len(own) - count, -1)).tolist()
            taken = [own[place] for place in partial_shuffle(jumps)]
            halves[0].extend(taken[: self.shot])
            halves[1].extend(taken[self.shot :])
        return Episode(self._half(halves[0], self.shot), self._half(halves[1], self.query))

    def __iter__(self) -> Iterator[Episode]:
        """Episodes 0, 1, 2, ... without end."""
        index = 0
        while True:
            yield self[index]
            index += 1

    def batch(self, step: int, tasks: int) -> Episode:
        """Episodes step · tasks .. (step + 1) · tasks - 1 as a meta-batch: x [B, N*K, ...]."""
        drawn = [self[index] for index in range(step * tasks, (step + 1) * tasks)]
        support, query = (
            Batch(torch.stack([one.x for one in half]), torch.stack([one.y for one in half]))
            for half in zip(*drawn, strict=True)
        )
        return Episode(support, query)

    def _half(self, indices: list[int], each: int) -> Batch:
        y = torch.arange(self.way).repeat_interleave(each)
        return Batch(torch.stack([self._example(index) for index in indices]), y)

    def _example(self, index: int) -> Tensor:
        x = self.dataset[index][0]
        if not isinstance(x, Tensor):
            raise DataError(
                f"item {index} of the dataset is {type(x).__name__}; wanted is a tensor",
                code="data.not_a_tensor",
                hint="transform=torchvision.transforms.ToTensor(), or a Dataset that converts",
            )
        return x


def episodes(
    dataset: Labelled,
    way: int,
    shot: int,
    query: int,
    seed: int = 0,
    *,
    labels: Sequence[Label] | Tensor | None = None,
) -> DatasetEpisodes:
    """Episodes of a labelled dataset, whose items are (x, label).

    Args:
        way: N, classes per episode. shot: K, support examples per class. query: Q, likewise.
        seed: names the stream of episodes.
        labels: one label for each item; left out, every item is read once for its label.

    Raises:
        DataError: fewer classes with shot + query examples than the way; a number of labels that is
            not that of the items.
    """
    given = (dataset[index][1] for index in range(len(dataset))) if labels is None else labels
    rows: dict[Label, list[int]] = {}
    total = 0
    for index, label in enumerate(given):
        plain = label.item() if isinstance(label, Tensor) else label
        rows.setdefault(plain if isinstance(plain, str) else int(plain), []).append(index)
        total += 1
    if total != len(dataset):
        raise DataError(
            f"{total} labels for {len(dataset)} items of the dataset", code="data.labels"
        )
    if min(way, shot, query) < 1:
        raise DataError(
            f"way {way}, shot {shot}, query {query}: each is at least 1", code="data.episodes"
        )
    enough = {label: own for label, own in rows.items() if len(own) >= shot + query}
    if len(enough) < way:
        raise DataError(
            f"{len(enough)} of {len(rows)} classes have the {shot} + {query} examples of an "
            f"episode; wanted are at least {way}",
            code="data.too_few_classes",
            hint="a smaller way, shot or query",
        )
    return DatasetEpisodes(dataset, enough, way, shot, query, seed)
