"""Few-shot classification tasks: tasks, not classes, are what is new.

A task is a drug assay, a patient, an object, a domain of reviews. Where all tasks have the same
labels, a label means the same in every task and keeps its number; otherwise an episode draws
classes of one task and numbers them for itself.

Letters: N classes, K support rows, Q query rows, B meta-batch, D numbers of a row, M rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal, NamedTuple

import numpy as np
import torch

from metacli.data.draws import Key, drawn_once, integers, partial_shuffle, plain, stream
from metacli.data.few_shot.stacked import stacked
from metacli.data.few_shot.task_rows import TaskRows
from metacli.data.tables.coded import Encoder
from metacli.errors import DataError
from metacli.types import Batch, Episode, TaskSpec

Span = int | tuple[int, int]
Per = Literal["class", "task"]


@dataclass(frozen=True, eq=False)
class ClassTasks:
    """The tasks of one split.

    Args:
        rows: of each task, which may lie in one store for several tasks.
        y: int64 [n_t] of each task, aligned with its rows: places in its `labels`.
        shared: the labels where they are the same in every task of every split; None otherwise.
        metric: by which the set is judged: accuracy or auc.
        encoder: what makes numbers of the rows; None for images.
        digest: SHA-256 hex of the cells, the division and the split.
        left_out: tasks that have too few rows.
    """

    name: str
    split: str
    tasks: tuple[str, ...]
    rows: tuple[TaskRows, ...]
    y: tuple[np.ndarray, ...]
    labels: tuple[tuple[str, ...], ...]
    shared: tuple[str, ...] | None
    metric: Literal["accuracy", "auc"]
    encoder: Encoder | None
    digest: str
    left_out: tuple[str, ...] = ()

    @property
    def where(self) -> str:
        return f"{self.name}, split {self.split}"

    @property
    def example_shape(self) -> tuple[int, ...]:
        """[D], or [C, H, W] of images."""
        return self.rows[0].shape

    def counts(self, task: int) -> np.ndarray:
        """How many rows each label of a task has, [N]."""
        return np.bincount(self.y[task], minlength=len(self.labels[task]))

    def only(self, kept: Sequence[int]) -> ClassTasks:
        """Some of the tasks; the others are named in `left_out`."""
        gone = tuple(one for place, one in enumerate(self.tasks) if place not in set(kept))
        return replace(
            self,
            tasks=tuple(self.tasks[one] for one in kept),
            rows=tuple(self.rows[one] for one in kept),
            y=tuple(self.y[one] for one in kept),
            labels=tuple(self.labels[one] for one in kept),
            left_out=(*self.left_out, *gone),
        )

    def read_by(self, encoder: Encoder) -> ClassTasks:
        """The same rows as a model reads them that was trained elsewhere. Raises DataError."""
        return replace(self, rows=tuple(one.read_by(encoder) for one in self.rows), encoder=encoder)


class Members(NamedTuple):
    """What an episode is made of: a task, labels that become 0..N-1, and rows of the task."""

    task: int
    labels: tuple[int, ...]
    support: np.ndarray
    query: np.ndarray


@dataclass(frozen=True)
class ClassTaskEpisodes:
    """A source of classification tasks: x [M, ...], y int64 [M] of support and query.

    Episode i takes a task at random, named by (seed, i), and its rows at random.

    Args:
        tasks: of one split.
        way: N; where labels are shared, all of them.
        shot: K; a pair is a range drawn once for each meta-batch.
        query: Q.
        per: whether K and Q count the rows of each `class`, or of the whole `task`: then one row of
            each class, and the others at random among all rows of the classes.
        seed: names the stream of episodes; plain values only.
        meta_batch: how many episodes share one draw of K.
    Raises:
        DataError: a task without enough rows, or another number of classes.
    """

    tasks: ClassTasks
    way: int
    shot: Span
    query: int
    per: Per = "class"
    seed: tuple[Key, ...] = ("train", 0)
    meta_batch: int = 1

    def __post_init__(self) -> None:
        if not isinstance(self.shot, int):
            object.__setattr__(self, "shot", tuple(self.shot))
        object.__setattr__(self, "seed", plain(self.seed))
        require_way(self.tasks, self.way)
        require_rows(self.tasks, self.need)

    @property
    def need(self) -> Need:
        most = self.shot if isinstance(self.shot, int) else self.shot[1]
        return Need(self.way, most, self.query, self.per)

    @property
    def digest(self) -> str:
        return self.tasks.digest

    @property
    def spec(self) -> TaskSpec:
        return TaskSpec(
            kind="classification",
            way=self.way,
            shot=self.shot,
            query=self.query,
            split=self.tasks.split,
            num_classes=self.way,
            input_shape=self.tasks.example_shape,
        )

    def members(self, index: int) -> Members:
        """The task of episode `index`, its classes, and its rows."""
        words = stream(self.seed, index).random_raw(1)
        task = int(integers(words, len(self.tasks.tasks))[0])
        return self.drawn(task, self._shot(index), (self.seed, index))

    def drawn(self, task: int, shot: int, key: tuple[Key, ...], *, rest: bool = False) -> Members:
        """Classes and rows of a task, named by the key.

        Args:
            rest: the query is all rows of these classes that are not in the support.
        """
        labels = self._labels(task, key)
        y = self.tasks.y[task]
        rows = [np.flatnonzero(y == one) for one in labels]
        if self.per == "class":
            drawn = [
                drawn_rows(own, shot + self.query, (*key, "rows", one))
                for own, one in zip(rows, labels, strict=True)
            ]
            support = np.concatenate([one[:shot] for one in drawn])
            query = np.concatenate([one[shot:] for one in drawn])
        else:
            support, query = self._of_the_task(rows, shot, key)
        if rest:
            query = np.setdiff1d(np.flatnonzero(np.isin(y, labels)), support)
        return Members(task, labels, support, query)

    def _of_the_task(
        self, rows: list[np.ndarray], shot: int, key: tuple[Key, ...]
    ) -> tuple[np.ndarray, np.ndarray]:
        """K and Q rows of a task, each with one row of every class at least.

        Args:
            rows: of each class.
        """
        firsts = np.stack([drawn_rows(own, 2, (*key, n)) for n, own in enumerate(rows)])  # [N, 2]
        left = np.setdiff1d(np.concatenate(rows), firsts)
        sizes = (shot - len(rows), max(0, self.query - len(rows)))
        others = drawn_rows(left, sum(sizes), (*key, "rows"))
        support = np.concatenate([firsts[:, 0], others[: sizes[0]]])
        return support, np.concatenate([firsts[:, 1], others[sizes[0] :]])

    def _labels(self, task: int, key: tuple[Key, ...]) -> tuple[int, ...]:
        """All labels where they are shared; else N of the task's, in an order of chance."""
        if self.tasks.shared is not None:
            return tuple(range(self.way))
        every = np.arange(len(self.tasks.labels[task]))
        return tuple(drawn_rows(every, self.way, (*key, "labels")).tolist())

    def batch(self, members: Members, rows: np.ndarray) -> Batch:
        """Rows of the task with their labels as 0..N-1."""
        place = np.zeros(len(self.tasks.labels[members.task]), np.int64)
        place[list(members.labels)] = np.arange(len(members.labels))
        x = self.tasks.rows[members.task].take(rows)
        y = place[self.tasks.y[members.task][rows]]
        return Batch(torch.from_numpy(x), torch.from_numpy(y))

    def episode(self, index: int) -> Episode:
        """Episode `index`."""
        found = self.members(index)
        return Episode(self.batch(found, found.support), self.batch(found, found.query))

    def meta_batch_at(self, step: int) -> Episode:
        """Episodes step*B .. step*B+B-1: x [B, M, ...], y [B, M]."""
        return self.part_at(step, 0, self.meta_batch)

    def part_at(self, step: int, begin: int, end: int) -> Episode:
        """Tasks begin .. end-1 of the meta-batch of a step."""
        first = step * self.meta_batch
        return stacked([self.episode(first + i) for i in range(begin, end)])

    def _shot(self, index: int) -> int:
        return drawn_once(self.shot, self.seed, index // self.meta_batch)


def drawn_rows(rows: np.ndarray, count: int, key: tuple[Key, ...]) -> np.ndarray:
    """So many of the rows at random, without repeats, named by the key."""
    if not count:
        return rows[:0]
    words, total = stream(*key).random_raw(count), len(rows)
    return rows[partial_shuffle(integers(words, np.arange(total, total - count, -1)).tolist())]


@dataclass(frozen=True)
class Need:
    """The rows that episodes ask of a task: `shot` is the most of a range."""

    way: int
    shot: int
    query: int
    per: Per

    def met(self, counts: np.ndarray) -> bool:
        """Whether a task with these rows of each label has enough, whichever classes are drawn."""
        sizes = np.sort(counts)
        if len(sizes) < self.way:
            return False
        if self.per == "class":
            return bool(sizes[0] >= self.shot + self.query)
        few, query = int(sizes[: self.way].sum()), max(self.query, self.way)
        return bool(sizes[0] >= 2 and self.shot >= self.way and few >= self.shot + query)

    def __str__(self) -> str:
        total = self.shot + self.query
        if self.per == "class":
            return f"{self.shot} shots and {self.query} queries need {total} rows of each class"
        return (
            f"{self.shot} shots and {self.query} queries of a task need {total} rows, and 2 of "
            "each class"
        )


def large_enough(tasks: ClassTasks, need: Need) -> list[int]:
    """The tasks that have enough rows."""
    return [task for task in range(len(tasks.tasks)) if need.met(tasks.counts(task))]


def without_small(tasks: ClassTasks, need: Need) -> ClassTasks:
    """Those tasks alone. Raises DataError where none is left."""
    kept = large_enough(tasks, need)
    if not kept:
        require_rows(tasks, need)
    return tasks if len(kept) == len(tasks.tasks) else tasks.only(kept)


def require_rows(tasks: ClassTasks, need: Need) -> None:
    """Raises DataError for tasks with too few rows."""
    kept = set(large_enough(tasks, need))
    small = [task for task in range(len(tasks.tasks)) if task not in kept]
    if not small:
        return
    counts = tasks.counts(small[0])
    rows = ", ".join(
        f"{count} {label}" for label, count in zip(tasks.labels[small[0]], counts, strict=True)
    )
    more = f"; {len(small) - 1} of {len(tasks.tasks)} more are too small" if len(small) > 1 else ""
    raise DataError(
        f"{need}; task {tasks.tasks[small[0]]} has {rows}{more}",
        code="data.too_few_examples",
        where=tasks.where,
        hint="ask for fewer shots or queries; data.skip_small=true leaves such tasks out",
    )


def require_way(tasks: ClassTasks, way: int) -> None:
    """Raises DataError where labels are shared and are not `way`."""
    if tasks.shared is None or len(tasks.shared) == way:
        return
    named = ", ".join(tasks.shared[:8])
    raise DataError(
        f"every task has the {len(tasks.shared)} labels {named}; {way} ways were asked for",
        code="data.way",
        where=tasks.where,
        hint=f"episodes.way={len(tasks.shared)}; with evaluate --way {len(tasks.shared)}",
    )
