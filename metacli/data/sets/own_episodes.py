"""Sets of a user's own tasks, drawn set by set: tasks of any kinds and sizes side by side.

A meta-batch draws T and M once; each set is one of those with T tasks or more. A task gets M of its
rows as support, fewer where it has fewer, one of each class first; what a class has left are its
queries. A task with queries of its own (a folder `query`) keeps them apart. Targets of the same
rows share M support rows and Q query rows, where labels may be missing. Rows that do not count are
masked.

Letters: B sets of a meta-batch, T tasks, M support rows, Q query rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch

from metacli.data.draws import Key, draw_from, integers, partial_shuffle, stream
from metacli.data.sets.own_tasks import OwnData, OwnSet, OwnTask
from metacli.errors import DataError
from metacli.types import Batch, SetEpisode

Span = int | tuple[int, int]
GONE = -1  # a row that is padding


class Divided(NamedTuple):
    """Rows of one task by their place in it: of the support, and of the query."""

    support: list[int]
    query: list[int]


@dataclass(frozen=True)
class OwnEpisodes:
    """A source of a user's own sets, addressed by index.

    Args:
        tasks, points: T and M; a pair is a range, drawn once for each meta-batch. query: Q.
        seed: names the stream of sets. meta_batch: B.
    Raises:
        DataError: a set with fewer tasks than the least T, or a task with too few rows.
    """

    data: OwnData
    tasks: Span
    points: Span
    query: int
    seed: tuple[Key, ...] = ("train", 0)
    meta_batch: int = 1

    def __post_init__(self) -> None:
        least, most = ends(self.tasks)
        where = f"{self.data.name}, split {self.data.split}"
        for one in self.data.sets:
            if len(one.tasks) < least:
                count = f"{len(one.tasks)} task{'s' if len(one.tasks) > 1 else ''}"
                raise DataError(
                    f"set {one.name} has {count}; sets.tasks asks for {least} or more",
                    code="sets.too_few_tasks",
                    where=where,
                    hint=f"leave the set out, or sets.tasks=[{len(one.tasks)},{most}]",
                )
            for task in one.tasks:
                require_rows(task, one.name, where)
        if max(len(one.tasks) for one in self.data.sets) < most:
            largest = max(len(one.tasks) for one in self.data.sets)
            raise DataError(
                f"the largest set has {largest} tasks; sets.tasks asks for up to {most}",
                code="sets.too_few_tasks",
                where=where,
                hint=f"sets.tasks=[{min(least, largest)},{largest}]",
            )

    @property
    def digest(self) -> str:
        return self.data.digest

    @property
    def names(self) -> tuple[str, ...]:
        """Tasks have no names: those of a new set are others."""
        return ()

    @property
    def inputs(self) -> int:
        """Numbers of one example."""
        return int(np.prod(self.data.store.shape[1:]))

    def shape_at(self, step: int) -> tuple[int, int]:
        """(T, M) of a meta-batch."""
        words = stream(*self.seed, "shape", step).random_raw(2).tolist()
        return draw_from(self.tasks, words[0]), draw_from(self.points, words[1])

    def members(self, index: int) -> tuple[OwnSet, list[OwnTask], list[Divided]]:
        """What set `index` of the stream consists of."""
        count, points = self.shape_at(index // self.meta_batch)
        fitting = [one for one in self.data.sets if len(one.tasks) >= count]
        words = stream(*self.seed, index).random_raw(1 + count)
        chosen = fitting[int(integers(words[:1], len(fitting))[0])]
        total = len(chosen.tasks)
        picked = partial_shuffle(integers(words[1:], total - np.arange(count)).tolist())
        tasks = [chosen.tasks[at] for at in picked]
        draw = stream(*self.seed, index, "rows")
        if chosen.shared_rows:
            size = len(tasks[0].rows)
            order = shuffled_by(draw.random_raw(size))
            support = min(points, size - min(self.query, size // 2))
            parts = [Divided(order[:support], order[support : support + self.query])] * count
        else:
            parts = [self.divided(task, points, draw.random_raw(len(task.y))) for task in tasks]
        return chosen, tasks, parts

    def divided(self, task: OwnTask, points: int, words: np.ndarray) -> Divided:
        """Support and query rows of a task; of classes one of each first."""
        known = [at for at in shuffled_by(words) if not np.isnan(task.y[at])]
        own = len(task.y) - task.tested
        asked = [at for at in known if at >= own]
        known = [at for at in known if at < own]
        first: list[int] = []
        if task.labels:
            seen = {task.y[at]: at for at in reversed(known)}  # the first of each class
            first = [at for at in known if seen[task.y[at]] == at]
        rest = [at for at in known if at not in set(first)]
        order = [*first, *rest]
        if not task.tested:
            kept = len(order) - min(self.query, len(order) // 2)
            points = min(points, max(kept, len(first)))
            asked = order[max(points, len(first)) :]
        return Divided(order[: max(points, len(first))], asked[: self.query])

    def episode(self, index: int) -> SetEpisode:
        """Set `index` of the stream, without a leading axis."""
        group, at = divmod(index, self.meta_batch)
        support, query, roles, ways = self.meta_batch_at(group)
        assert ways is not None
        one, asked = (
            Batch(half.x[at], half.y[at], None if half.mask is None else half.mask[at])
            for half in (support, query)
        )
        return SetEpisode(one, asked, roles[at], ways[at])

    def meta_batch_at(self, step: int) -> SetEpisode:
        """Sets step*B .. step*B+B-1, padded to the same sizes: x [B, T, M, ...], y and mask [B, T,
        M]."""
        first = step * self.meta_batch
        members = [self.members(first + one) for one in range(self.meta_batch)]
        store = self.data.store
        support = padded(
            store, [(tasks, [p.support for p in parts]) for _, tasks, parts in members]
        )
        query = padded(store, [(tasks, [p.query for p in parts]) for _, tasks, parts in members])
        ways = torch.tensor([[len(task.labels) for task in tasks] for _, tasks, _ in members])
        query = query._replace(mask=answerable(support, query, ways))
        return SetEpisode(support, query, torch.full_like(ways, -1), ways)


def padded(
    store: np.ndarray, parts: Sequence[tuple[Sequence[OwnTask], Sequence[Sequence[int]]]]
) -> Batch:
    """Rows of the tasks of B sets, by their place in the task, as a batch [B, T, M] that is padded
    to the longest."""
    most = max(1, *(len(rows) for _, chosen in parts for rows in chosen))
    shape = (len(parts), len(parts[0][0]), most)
    numbers, y = np.full(shape, GONE, np.int64), np.full(shape, np.nan)
    for b, (tasks, chosen) in enumerate(parts):
        for t, (task, rows) in enumerate(zip(tasks, chosen, strict=True)):
            places = np.asarray(rows, np.int64)
            numbers[b, t, : len(rows)] = task.rows[places]
            y[b, t, : len(rows)] = task.y[places]
    x = store[np.maximum(numbers, 0)]
    mask = (numbers >= 0) & ~np.isnan(y)
    values = np.where(mask, y, 0).astype(np.float32)
    return Batch(torch.from_numpy(x), torch.from_numpy(values), torch.from_numpy(mask))


def answerable(support: Batch, query: Batch, ways: torch.Tensor) -> torch.Tensor:
    """The queries that count: known, and of a class that the support of their task shows."""
    assert support.mask is not None
    assert query.mask is not None
    most = max(1, int(ways.max()))
    numbers = torch.arange(most)
    shown = ((support.y[..., None] == numbers) & support.mask[..., None]).any(2)  # [B, T, N]
    place = query.y.long().clamp(0, most - 1)
    of_shown = shown.gather(2, place)
    return query.mask & (of_shown | (ways == 0)[..., None])


def shuffled_by(words: np.ndarray) -> list[int]:
    """0 .. n-1 in a random order, of n words."""
    return partial_shuffle(integers(words, len(words) - np.arange(len(words))).tolist())


def ends(span: Span) -> tuple[int, int]:
    return (span, span) if isinstance(span, int) else span


def require_rows(task: OwnTask, name: str, where: str) -> None:
    """Raises DataError: nothing would be left to ask."""
    known = ~np.isnan(task.y)
    own = len(task.y) - task.tested
    needed = max(2, len(task.labels) + 1)
    if task.tested == 0 and int(known[:own].sum()) < needed:
        raise DataError(
            f"task {task.name} of set {name} has {int(known.sum())} labelled rows; {needed} are "
            "needed, so that one is left to ask",
            code="data.too_few_examples",
            where=where,
            hint="leave the task out, or label more of its rows",
        )
