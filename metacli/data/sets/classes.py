"""Sets of classification tasks, drawn from classes: set i of a source is the same on every machine.

Three relations between the tasks of a set:

tasks: every task has its own examples of its classes (speakers who say digits, a user's folders).
divided: T disjoint N-way problems of one group of classes (an alphabet, a domain).
styles: the same N classes in T styles, each with examples of its own (`data.sets.styles`).

Letters: B sets of a meta-batch, T tasks, N way, K shot, Q queries per class.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, NamedTuple

import numpy as np
import torch

from metacli.data.draws import Key, draw_from, integers, partial_shuffle, stream, uniforms
from metacli.data.few_shot.pools import Store
from metacli.data.plain import Plain
from metacli.data.sets.styles import COUNT, Style, in_style, style
from metacli.data.tables.coded import CodedRows, Encoder
from metacli.errors import DataError
from metacli.types import Batch, SetEpisode

Relation = Literal["tasks", "divided", "styles"]
Span = int | tuple[int, int]


@dataclass(frozen=True)
class ClassTask:
    """Classes and the int64 rows of each in the store."""

    name: str
    classes: tuple[str, ...]
    rows: tuple[np.ndarray, ...]


@dataclass(frozen=True)
class ClassGroups:
    """What sets are drawn from.

    Args:
        groups: of tasks. `tasks`: a set is of one group; `divided`: a group has one task, whose
            classes are divided; `styles`: likewise, and its classes come in styles.
        shared_labels: class n is the same in every task of a set. With `tasks` the tasks of a group
            then have the same classes in the same order.
        focus: the first task of a group is in every set, and its queries alone count.
        ink: dark strokes on light paper. read: what made numbers of a store of numbers.
        positive: every task has two classes, one of which is what is looked for.
        digest: SHA-256 hex of what is drawn from.
    """

    name: str
    split: str
    store: Store
    groups: tuple[tuple[ClassTask, ...], ...]
    relation: Relation
    shared_labels: bool
    digest: str
    ink: bool = False
    focus: bool = False
    read: Encoder | None = None
    positive: bool = False

    @property
    def example_shape(self) -> tuple[int, ...]:
        """Of one example: [C, H, W], or [F]."""
        return tuple(self.store.shape[1:])

    @property
    def encoder(self) -> Encoder | None:
        """What makes numbers of texts or cells; None for images."""
        return self.store.encoder if isinstance(self.store, CodedRows) else self.read


def digest_of(facts: Sequence[Plain], groups: Sequence[Sequence[ClassTask]]) -> str:
    """SHA-256 hex of plain facts and of every task's classes and rows."""
    whole = hashlib.sha256(json.dumps(list(facts)).encode())
    for task in (one for group in groups for one in group):
        whole.update(json.dumps([task.name, list(task.classes)]).encode())
        for rows in task.rows:
            whole.update(np.asarray(rows, "<i8").tobytes())
    return whole.hexdigest()


class SetMembers(NamedTuple):
    """What one set consists of: names of its tasks, of the classes of each [T][N], rows of the
    store [T, N, K+Q], and the style of each task."""

    tasks: tuple[str, ...]
    classes: tuple[tuple[str, ...], ...]
    rows: np.ndarray
    styles: tuple[Style, ...]


@dataclass(frozen=True)
class ClassSets:
    """A source of sets of N-way K-shot tasks, addressed by index.

    Args:
        tasks, way, shot: a pair is a range, drawn once for each meta-batch. query: per class.
        seed: names the stream of sets; plain values only. meta_batch: B.
    Raises:
        DataError: fewer classes, tasks or examples than that needs.
    """

    pool: ClassGroups
    tasks: Span
    way: Span
    shot: Span
    query: int
    seed: tuple[Key, ...] = ("train", 0)
    meta_batch: int = 1

    def __post_init__(self) -> None:
        check(self)

    @property
    def digest(self) -> str:
        return self.pool.digest

    @property
    def names(self) -> tuple[str, ...]:
        """Tasks have no names: those of a new set are others."""
        return ()

    @property
    def inputs(self) -> int:
        """Numbers of one example."""
        return int(np.prod(self.pool.example_shape))

    @cached_property
    def fixed_way(self) -> int | None:
        """Classes of every task; None: they differ."""
        return self.way if isinstance(self.way, int) else None

    def shape_at(self, step: int) -> tuple[int, int, int]:
        """(T, N, K) of a meta-batch."""
        words = stream(*self.seed, "shape", step).random_raw(3).tolist()
        spans = (self.tasks, self.way, self.shot)
        tasks, way, shot = (draw_from(span, word) for span, word in zip(spans, words, strict=True))
        return tasks, way, shot

    def members(self, index: int) -> SetMembers:
        """What set `index` of the stream consists of."""
        tasks, way, shot = self.shape_at(index // self.meta_batch)
        words = stream(*self.seed, index).random_raw(1 + tasks + tasks * way)
        large = [one for one in self.pool.groups if self.fits(one, tasks, way)]
        group = large[int(integers(words[:1], len(large))[0])]
        chosen = self.chosen(group, words[1:], tasks, way)
        rows = self.rows_of(chosen, index, shot + self.query)
        names, styles = tuple(task.name for task, _ in chosen), (Style(),) * tasks
        if self.pool.relation == "styles":
            jumps = integers(words[1 : 1 + tasks], COUNT - np.arange(tasks))
            styles = tuple(style(number) for number in partial_shuffle(jumps.tolist()))
            names = tuple(one.name for one in styles)
        elif self.pool.relation == "divided":
            names = tuple(f"{name}/{number}" for number, name in enumerate(names, 1))
        classes = tuple(tuple(task.classes[c] for c in some) for task, some in chosen)
        return SetMembers(names, classes, rows, styles)

    def fits(self, group: Sequence[ClassTask], tasks: int, way: int) -> bool:
        """Whether a group is large enough for such a set."""
        if self.pool.relation == "tasks":
            return len(group) >= tasks and min(len(one.classes) for one in group) >= way
        needed = tasks * way if self.pool.relation == "divided" else way
        return len(group[0].classes) >= needed

    def chosen(
        self, group: Sequence[ClassTask], words: np.ndarray, tasks: int, way: int
    ) -> list[tuple[ClassTask, list[int]]]:
        """The tasks of a set and the numbers of the classes of each, in the order of its labels."""
        own, rest = words[:tasks], words[tasks:]
        if self.pool.relation == "tasks":
            first = 1 if self.pool.focus else 0
            jumps = integers(own[first:], len(group) - first - np.arange(tasks - first))
            picked = [first + one for one in partial_shuffle(jumps.tolist())]
            members = [group[at] for at in [*range(first), *picked]]
            if self.pool.shared_labels:
                return [(one, drawn(rest[:way], len(one.classes))) for one in members]
            parts = np.split(rest, tasks)
            return [(m, drawn(p, len(m.classes))) for m, p in zip(members, parts, strict=True)]
        whole = group[0]
        if self.pool.relation == "styles":
            return [(whole, drawn(rest[:way], len(whole.classes)))] * tasks
        classes = drawn(rest, len(whole.classes))
        return [(whole, classes[t * way : (t + 1) * way]) for t in range(tasks)]

    def rows_of(
        self, chosen: Sequence[tuple[ClassTask, list[int]]], index: int, count: int
    ) -> np.ndarray:
        """Different rows of each class, [T, N, K+Q]. In styles no row is in two tasks: a query of
        one is never a support of another."""
        tasks, way = len(chosen), len(chosen[0][1])
        apart = self.pool.relation == "styles"
        words = stream(*self.seed, index, "rows").random_raw(tasks * way * count)
        words = words.reshape(tasks, way, count)
        found = np.empty((tasks, way, count), np.int64)
        for n in range(way):
            if apart:
                task, classes = chosen[0]
                rows = task.rows[classes[n]]
                found[:, n] = rows[drawn(words[:, n].ravel(), len(rows))].reshape(tasks, count)
                continue
            for t, (task, classes) in enumerate(chosen):
                rows = task.rows[classes[n]]
                found[t, n] = rows[drawn(words[t, n], len(rows))]
        return found

    def episode(self, index: int) -> SetEpisode:
        """Set `index` of the stream, without a leading axis."""
        group, at = divmod(index, self.meta_batch)
        support, query, roles, ways = self.meta_batch_at(group)
        assert ways is not None
        mask = None if query.mask is None else query.mask[at]
        halves = Batch(support.x[at], support.y[at]), Batch(query.x[at], query.y[at], mask)
        return SetEpisode(*halves, roles[at], ways[at])

    def meta_batch_at(self, step: int) -> SetEpisode:
        """Sets step*B .. step*B+B-1: support x [B, T, N*K, ...], query x [B, T, N*Q, ...]; y class
        numbers as float32."""
        tasks, way, shot = self.shape_at(step)
        first = step * self.meta_batch
        drawn_sets = [self.members(first + one) for one in range(self.meta_batch)]
        images = self.images(drawn_sets, first)  # [B, T, N, K+Q, ...]
        support, query = (
            batch_of(part) for part in (images[:, :, :, :shot], images[:, :, :, shot:])
        )
        if self.pool.focus:
            counts = torch.zeros_like(query.y, dtype=torch.bool)
            counts[:, 0] = True
            query = query._replace(mask=counts)
        shape = (self.meta_batch, tasks)
        return SetEpisode(support, query, torch.full(shape, -1), torch.full(shape, way))

    def images(self, members: Sequence[SetMembers], first: int) -> np.ndarray:
        """The examples of some sets, in their styles."""
        store = self.pool.store
        if isinstance(store, np.ndarray):
            store = np.asarray(store)
        found: np.ndarray = store[np.stack([one.rows for one in members])]
        if self.pool.relation != "styles":
            return found
        for at, one in enumerate(members):
            noisy = [t for t, style in enumerate(one.styles) if style.noise]
            words = stream(*self.seed, first + at, "noise")
            for t, wanted in enumerate(one.styles):
                size = (*found[at, t].shape, 2) if t in noisy else (0, 2)
                pixels = uniforms(words.random_raw(int(np.prod(size)))).reshape(size)
                found[at, t] = in_style(found[at, t], wanted, pixels)
        return found


def drawn(words: np.ndarray, total: int) -> list[int]:
    """Different numbers below `total`, one for each word."""
    return partial_shuffle(integers(words, total - np.arange(len(words))).tolist())


def batch_of(examples: np.ndarray) -> Batch:
    """Examples [B, T, N, M, ...] of N classes as a batch with leading [B, T, N*M]."""
    lead = examples.shape[:4]
    flat = (*lead[:2], lead[2] * lead[3])
    labels = np.broadcast_to(np.arange(lead[2], dtype=np.float32)[:, None], lead).reshape(flat)
    x = np.ascontiguousarray(examples).reshape(*flat, *examples.shape[4:])
    return Batch(torch.from_numpy(x), torch.from_numpy(labels.copy()))


def ends(span: Span) -> tuple[int, int]:
    return (span, span) if isinstance(span, int) else span


def check(source: ClassSets) -> None:
    """Raises DataError for what cannot be drawn, by name."""
    pool, most = source.pool, tuple(ends(s)[1] for s in (source.tasks, source.way, source.shot))
    tasks, way, shot = most
    where = f"{pool.name}, split {pool.split}"
    if not any(source.fits(group, tasks, way) for group in pool.groups):
        size = max(len(group) for group in pool.groups)
        classes = max(len(one.classes) for group in pool.groups for one in group)
        has = {
            "tasks": f"the largest set has {size} tasks, the largest task {classes} classes",
            "divided": f"the largest group has {classes} classes",
            "styles": f"there are {classes} classes",
        }[pool.relation]
        raise DataError(
            f"no set of {tasks} tasks of {way} classes each can be drawn: {has}",
            code="sets.too_small",
            where=where,
            hint="ask for a smaller sets.tasks or sets.way",
        )
    if pool.relation == "styles" and tasks > COUNT:
        raise DataError(f"there are {COUNT} styles, sets.tasks is {tasks}", where=where)
    wanted = (shot + source.query) * (tasks if pool.relation == "styles" else 1)
    for task in (one for group in pool.groups for one in group):
        for name, rows in zip(task.classes, task.rows, strict=True):
            if len(rows) < wanted:
                raise DataError(
                    f"class {name} of {task.name} has {len(rows)} examples; {shot} shots and "
                    f"{source.query} queries need {wanted}"
                    + (f" in {tasks} styles" if pool.relation == "styles" else ""),
                    code="data.too_few_examples",
                    where=where,
                    hint="ask for a smaller sets.shot or sets.query, or add examples",
                )
