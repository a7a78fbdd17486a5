"""Episodes drawn from a pool of classes: episode i of a source is the same on every machine.

Letters: B meta-batch, N way, K shot, Q query per class, M images in the pool, C H W one image.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch

from metacli.data.draws import Key, draw_from, integers, partial_shuffle, plain, stream
from metacli.data.few_shot.augmentation import Augmentation
from metacli.data.few_shot.pools import Pool
from metacli.errors import DataError
from metacli.types import Batch, Episode, TaskSpec

Span = int | tuple[int, int]


class EpisodeMembers(NamedTuple):
    """What was drawn: for each label 0..N-1 its class of the pool, its quarter turns, and its rows
    of the store.
    """

    classes: tuple[int, ...]  # [N]
    turns: tuple[int, ...]  # [N], counter-clockwise
    support: tuple[tuple[int, ...], ...]  # [N][K of the class]
    query: tuple[tuple[int, ...], ...]  # [N][Q]


@dataclass(frozen=True)
class ClassEpisodes:
    """A source of N-way K-shot episodes.

    Episode i comes from a generator named by SHA-256 of (seed, i). Classes get the labels 0..N-1 in
    the random order of the draw; examples stand class by class; support and query of a class share
    no row.

    Args:
        pool: the classes.
        way: classes per episode; a pair is a range drawn once for each meta-batch.
        shot: support images per class; a pair as for `way`.
        query: query images per class.
        balanced: False lets each class draw its own shot from the range; the support is then padded
            with zeros to the upper end of the range, and `support.mask` is False there.
        seed: names the stream of episodes; plain values only.
        meta_batch: how many episodes share one draw of way and shot.
        shift: every image is moved by up to so many pixels, each by its own number to the side
            and down; its border is drawn out into what becomes free.
        warp: every image is turned, sheared and resized by a draw of its own, as strongly as
            `Augmentation` says.
    Raises:
        DataError: fewer classes than the way, or a class with fewer images than shot + query.
    """

    pool: Pool
    way: Span
    shot: Span
    query: int
    balanced: bool = True
    seed: tuple[Key, ...] = ("train", 0)
    meta_batch: int = 1
    shift: int = 0
    warp: float = 0.0

    def __post_init__(self) -> None:
        for name, value in (("way", self.way), ("shot", self.shot)):
            if not isinstance(value, int):  # recipes hold lists where a pair is meant
                object.__setattr__(self, name, tuple(value))
        object.__setattr__(self, "seed", plain(self.seed))
        _check_sizes(self)

    @property
    def digest(self) -> str:
        """SHA-256 hex of what the episodes are drawn from."""
        return self.pool.digest

    @property
    def augmentation(self) -> Augmentation:
        return Augmentation(self.shift, self.warp, self.seed)

    @property
    def spec(self) -> TaskSpec:
        return TaskSpec(
            kind="classification",
            way=self.way,
            shot=self.shot,
            query=self.query,
            split=self.pool.split,
            num_classes=len(self.pool.classes),
            input_shape=self.pool.example_shape,
            balanced=self.balanced,
        )

    def members(self, index: int) -> EpisodeMembers:
        """What episode `index` consists of."""
        return self._drawn(index, 1)[0]

    def _drawn(self, first: int, count: int) -> list[EpisodeMembers]:
        """Episodes of one way and shot. They are drawn together because drawing small tasks costs
        what numpy's calls cost, not what they do.
        """
        way, shot = self._shape(first)
        indices = range(first, first + count)
        families = [self._family(index, way) for index in indices]
        totals = [len(self.pool.classes if one is None else one) for one in families]
        words = np.stack([stream(self.seed, index).random_raw(2 * way) for index in indices])
        jumps = integers(words[:, :way], np.array(totals)[:, None] - np.arange(way))
        classes = [partial_shuffle(one) for one in jumps.tolist()]
        classes = [
            one if of is None else of[one].tolist()
            for of, one in zip(families, classes, strict=True)
        ]
        own = words[:, way:].tolist()
        shots = [
            [shot if self.balanced else draw_from(self.shot, word) for word in of_episode]
            for of_episode in own
        ]
        rows = iter(self._rows(indices, classes, shots))
        found = []
        for at, of_episode in enumerate(classes):
            picked = [(next(rows), k) for k in shots[at]]
            turns = (self._turns(one, word) for one, word in zip(of_episode, own[at], strict=True))
            found.append(
                EpisodeMembers(
                    classes=tuple(of_episode),
                    turns=tuple(turns),
                    support=tuple(tuple(one[:k]) for one, k in picked),
                    query=tuple(tuple(one[k:]) for one, k in picked),
                )
            )
        return found

    def episode(self, index: int) -> Episode:
        """Episode `index`: uint8 images [N*K, C, H, W] and int64 labels [N*K]; the query
        likewise.
        """
        return self.augmentation.of(index, _take(_assemble(self, self._drawn(index, 1))))

    def meta_batch_at(self, step: int) -> Episode:
        """Episodes step*B .. step*B+B-1, stacked: [B, N*K, C, H, W]."""
        return self.part_at(step, 0, self.meta_batch)

    def part_at(self, step: int, begin: int, end: int) -> Episode:
        """Tasks begin .. end-1 of the meta-batch of a step."""
        first = step * self.meta_batch + begin
        whole = _assemble(self, self._drawn(first, end - begin))
        for i in range(end - begin if self.augmentation else 0):
            one = self.augmentation.of(first + i, _slice(whole, i))
            whole.support.x[i], whole.query.x[i] = one.support.x, one.query.x
        return whole

    def _shape(self, index: int) -> tuple[int, int]:
        """Way and shot of the meta-batch that `index` is in; the most of the range where shots
        differ by class.
        """
        if isinstance(self.way, int) and (isinstance(self.shot, int) or not self.balanced):
            return self.way, _most(self.shot)
        words = stream(self.seed, "shape", index // self.meta_batch).random_raw(2).tolist()
        shot = draw_from(self.shot, words[1]) if self.balanced else _most(self.shot)
        return draw_from(self.way, words[0]), shot

    def _family(self, index: int, way: int) -> np.ndarray | None:
        """The classes that this episode may hold; None: all. Families that are too small for the
        way are left out, the others are equally likely.
        """
        if self.pool.families is None:
            return None
        large = [one for one in self.pool.families if len(one) >= way]
        word = stream(self.seed, index, "family").random_raw(1)
        return large[int(integers(word, len(large))[0])]

    def _turns(self, of_class: int, word: int) -> int:
        if self.pool.random_turns:
            return word & 3  # low bits: the shot of the class is made from the high ones
        return 0 if self.pool.turns is None else int(self.pool.turns[of_class])

    def _rows(
        self, indices: range, classes: list[list[int]], shots: list[list[int]]
    ) -> list[list[int]]:
        """shot + query different rows of each class of each episode, class by class."""
        layout = self.pool.layout
        words = np.concatenate(
            [
                stream(self.seed, index, "rows").random_raw(sum(of) + self.query * len(of))
                for index, of in zip(indices, shots, strict=True)
            ]
        )
        flat = np.concatenate(classes)
        counts = np.concatenate(shots) + self.query
        begin = np.cumsum(counts) - counts
        place = np.arange(len(words)) - np.repeat(begin, counts)  # within its class
        jumps = integers(words, np.repeat(layout.sizes[flat], counts) - place).tolist()
        spans = list(zip(begin.tolist(), (begin + counts).tolist(), strict=True))
        picks = [pick for start, end in spans for pick in partial_shuffle(jumps[start:end])]
        rows = layout.rows[np.repeat(layout.begin[flat], counts) + np.array(picks, np.int64)]
        chosen = rows.tolist()
        return [chosen[start:end] for start, end in spans]


def _most(span: Span) -> int:
    return span if isinstance(span, int) else span[1]


def _least(span: Span) -> int:
    return span if isinstance(span, int) else span[0]


def _check_sizes(source: ClassEpisodes) -> None:
    for name, span in (("way", source.way), ("shot", source.shot)):
        if isinstance(span, tuple) and len(span) != 2:
            raise DataError(f"{name} is {list(span)}; wanted one number or [least, most]")
        if not 1 <= _least(span) <= _most(span):
            raise DataError(f"{name} is {span}; wanted 1 or more, the smaller number first")
    if source.query < 0 or source.meta_batch < 1:
        raise DataError(
            f"query is {source.query} and meta_batch {source.meta_batch}; wanted 0 and 1 or more"
        )
    pool, way = source.pool, _most(source.way)
    where = f"{pool.name}, split {pool.split}"
    most = len(pool.classes) if pool.families is None else max(map(len, pool.families))
    if most < way:
        whose = "" if pool.families is None else " in the largest family of one episode"
        raise DataError(
            f"{way} ways were asked for and there are {most} classes{whose}",
            code="data.too_few_classes",
            where=where,
            hint=f"episodes.way={most} or less",
        )
    wanted = _most(source.shot) + source.query
    short = [c for c, rows in enumerate(pool.rows) if len(rows) < wanted]
    if short:
        raise DataError(
            f"{_most(source.shot)} shots and {source.query} queries need {wanted} images of each "
            "class; "
            f"{pool.classes[short[0]]} has {len(pool.rows[short[0]])}"
            + (f", and {len(short) - 1} more classes have too few" if len(short) > 1 else ""),
            code="data.too_few_examples",
            where=where,
            hint="ask for fewer shots or queries, or add images",
        )


def _assemble(source: ClassEpisodes, drawn: list[EpisodeMembers]) -> Episode:
    """The images of episodes of one shape, with one look into the store: leading [B]."""
    padded = None if source.balanced else _most(source.shot)
    return Episode(
        support=_batch(source.pool, drawn, [m.support for m in drawn], padded),
        query=_batch(source.pool, drawn, [m.query for m in drawn], None),
    )


def _batch(
    pool: Pool,
    drawn: list[EpisodeMembers],
    rows: list[tuple[tuple[int, ...], ...]],
    padded: int | None,
) -> Batch:
    """rows[b][n] are the images of label n of episode b; `padded` is the count that each class is
    filled up to.
    """
    way = len(drawn[0].classes)
    width = len(rows[0][0]) if padded is None else padded
    numbers = np.full((len(drawn), way, width), -1, np.int64)
    for b, of_episode in enumerate(rows):
        for n, of_class in enumerate(of_episode):
            numbers[b, n, : len(of_class)] = of_class
    present = numbers >= 0
    store = pool.store
    if isinstance(store, np.ndarray):
        store = np.asarray(store)  # a plain view: a memory map's own indexing is slower
    images = store[np.where(present, numbers, 0)]  # [B, N, K, C, H, W], a copy
    turns = np.array([m.turns for m in drawn])  # [B, N]
    for quarter in (1, 2, 3):
        which = turns == quarter
        if which.any():
            images[which] = np.rot90(images[which], quarter, axes=(-2, -1))
    if padded is not None:
        images[~present] = 0
    flat = (len(drawn), way * width)
    labels = np.broadcast_to(np.arange(way)[None, :, None], numbers.shape).reshape(flat)
    return Batch(
        x=torch.from_numpy(images.reshape(*flat, *pool.example_shape)),
        y=torch.from_numpy(np.array(labels)),
        mask=None if padded is None else torch.from_numpy(present.reshape(flat)),
    )


def _take(stacked: Episode) -> Episode:
    """The only episode of a stack of one."""
    return _slice(stacked, 0)


def _slice(stacked: Episode, at: int) -> Episode:
    return Episode(
        *(
            Batch(part.x[at], part.y[at], None if part.mask is None else part.mask[at])
            for part in stacked
        )
    )
