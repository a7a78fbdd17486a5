"""Which examples of a support are held out: folds, dealt again where they are few, or a share."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from metacli.data.draws import shuffled

MAX_FOLDS = 5
FEWEST_SPLITS = 9  # of folds that are dealt again, where they are few or the support is small
LAST, BLOCKS = 0.4, 4  # of rows in an order: the share that is held out, and in how many parts
SMALL = 100  # rows of a support whose five folds are cheap enough to be dealt twice


@dataclass(frozen=True)
class Split:
    """Rows to adapt on and rows to score on."""

    support: np.ndarray
    query: np.ndarray


def repeated_folds(y: np.ndarray, seed: int) -> list[Split]:
    """`stratified_folds` dealt again until there are nine splits or more.

    Three folds leave two degrees of freedom, with which an interval of a difference says next to
    nothing. Dealt three times they leave eight: with 5 classes of 3 examples it is half as wide,
    and a worse model is found twice as often, while among equally good ones a difference is found
    in 4.2 % of the tasks (benchmarks/small_folds.py).
    """
    first = stratified_folds(y, seed)
    k = len(first)
    held = sum(len(one.query) for one in first)
    if k in (0, held) or (k == MAX_FOLDS and len(y) > SMALL):
        return first  # leaving one out is the same whenever it is dealt
    again = range(1, math.ceil(FEWEST_SPLITS / k))
    return [*first, *(one for time in again for one in stratified_folds(y, seed, deal=time))]


def stratified_folds(y: np.ndarray, seed: int, most: int = MAX_FOLDS, deal: int = 0) -> list[Split]:
    """k = min(`most`, smallest class) folds that each hold every class. A class with a single
    example is learned from in every fold, and held out in none; empty where all classes are such.

    Args:
        deal: another number gives other folds.
    """
    labels, counts = np.unique(y, return_counts=True)
    labels, counts = labels[counts > 1], counts[counts > 1]
    if not len(labels) or most < 1:
        return []
    k = min(most, int(counts.min()))
    fold = np.full(len(y), -1)
    offset = 0
    again = (deal,) if deal else ()
    for label in labels:
        rows = np.flatnonzero(y == label)
        order = rows[shuffled(len(rows), "fold", seed, int(label), *again)]
        # Classes start at different folds, so that the folds have nearly equal sizes.
        fold[order] = (np.arange(len(rows)) + offset) % k
        offset += len(rows)
    return [Split(np.flatnonzero(fold != i), np.flatnonzero(fold == i)) for i in range(k)]


def holdout(y: np.ndarray, share: float, seed: int) -> list[Split]:
    """One split with about `share` of each class held out, at least one and never all."""
    held: list[int] = []
    for label in np.unique(y):
        rows = np.flatnonzero(y == label)
        count = min(len(rows) - 1, max(1, round(share * len(rows))))
        held += rows[shuffled(len(rows), "holdout", seed, int(label))[:count]].tolist()
    query = np.array(sorted(held), int)
    return [Split(np.setdiff1d(np.arange(len(y)), query), query)] if len(query) else []


def last_rows(count: int, share: float | None = None) -> list[Split]:
    """The last rows of an order, in blocks, each to be predicted from all rows before it (rolling
    origin: L. J. Tashman, International Journal of Forecasting 16 (2000)).

    Args:
        share: of the rows, held out as one block; None: the last 40 % in four blocks, in as many as
            there are rows for.
    """
    held = max(1, round((LAST if share is None else share) * count))
    blocks = 1 if share is not None else min(BLOCKS, held)
    if count - held < 2:
        return []
    ends = np.linspace(count - held, count, blocks + 1).round().astype(int)
    rows = np.arange(count)
    return [Split(rows[:a], rows[a:b]) for a, b in pairwise(ends)]


def times_and_rows(splits: Sequence[Split]) -> tuple[int, np.ndarray | None]:
    """`HeldOut.times` and `HeldOut.rows` of splits that hold every example out equally often."""
    rows = np.concatenate([split.query for split in splits])
    times = len(rows) // len(np.unique(rows))
    return times, rows if times > 1 else None
