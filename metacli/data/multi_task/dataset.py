"""Many related tasks as tables: each task its own rows, and one padded batch of all of them.

Letters: T tasks, M rows (padded to the task with the most), D columns. Numbers stay as they are in
the file; standardising them is the network's first layer, with statistics of training rows only. A
target that is NaN is missing: its row teaches the other tasks only, and is not scored.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch

from metacli.data.draws import Key, integers, stream
from metacli.data.multi_task.read_as import ReadAs
from metacli.data.tables.choice import TaskType
from metacli.data.tables.reader import Table
from metacli.errors import Finding
from metacli.types import Batch

Parts = dict[str, tuple[np.ndarray, ...]]
"""train, val, test -> the row numbers of each task."""

SPLITS = ("train", "val", "test")


@dataclass(frozen=True)
class MultiTaskData:
    """The tasks of a data set.

    Args:
        x: [n_t, D] numbers of each task; the same array for all where they share their rows.
        y: [n_t] float64 of each task, NaN where it is missing; labels are 0, 1, ...
        kinds: of each task. metric: by which the set is judged (`engine.task_scores`).
        classes: label names of each classification, () of a regression; left out where every
            classification is between 0 and 1.
        shape: of one example, where D numbers are the pixels [C, H, W] of an image.
        columns: a name for each of the D numbers. read: how rows of cells become x (`Columns`).
        texts: of each task's rows, where they are texts. packed: F, where the numbers of a row are
            the places and weights of its n-grams among F features (`text_tables`).
        levels: (mean, scale) by which all columns are standardised instead of by training rows.
        scale: how targets are standardised: all tasks together, or each for itself.
        rows: `own`, or `shared`: every task has a target for the same rows.
        split: `random` within each task, `blocks` of a trajectory, `last`: the last rows of each
            task are its test, or `more`: at random, and the last rows are test too.
        groups: the known group of each task; -1 for one that is related to no other.
        contents: SHA-256 hex of what the numbers were made from.
        raw: the rows of each task as cells, where x was made of cells.
        findings: what was left out or looks odd.
    """

    name: str
    tasks: tuple[str, ...]
    x: tuple[np.ndarray, ...]
    y: tuple[np.ndarray, ...]
    kinds: tuple[TaskType, ...]
    metric: str
    contents: str
    columns: tuple[str, ...] = ()
    scale: Literal["pooled", "task"] = "pooled"
    rows: Literal["own", "shared"] = "own"
    split: Literal["random", "blocks", "last", "more"] = "random"
    test_rows: tuple[int, ...] = ()  # of `last` and `more`: of each task; 0 are drawn
    groups: tuple[int, ...] | None = None
    classes: tuple[tuple[str, ...], ...] = ()
    shape: tuple[int, ...] = ()
    levels: tuple[float, float] | None = None
    read: ReadAs | None = None
    texts: tuple[tuple[str, ...], ...] = ()
    packed: int = 0
    raw: tuple[Table, ...] = ()
    findings: tuple[Finding, ...] = ()

    @property
    def num_columns(self) -> int:
        return int(self.x[0].shape[1])

    @property
    def width(self) -> int:
        """Numbers that the network sees of a row."""
        return self.packed or self.num_columns

    @property
    def labels(self) -> tuple[tuple[str, ...], ...]:
        """Label names of each task, () of a regression."""
        plain = (("0", "1") if kind == "classification" else () for kind in self.kinds)
        return self.classes or tuple(plain)


def all_of(kind: TaskType, count: int) -> tuple[TaskType, ...]:
    """`kinds` of tasks that are all alike."""
    return (kind,) * count


@dataclass(frozen=True)
class Standard:
    """Statistics of training rows: x [D], y [T]. A constant column has scale 1, and so has a
    class."""

    x_mean: np.ndarray
    x_scale: np.ndarray
    y_mean: np.ndarray
    y_scale: np.ndarray


@dataclass(frozen=True)
class MultiTaskRows:
    """A BatchSource: the rows of some tasks in one split.

    Args:
        parts: as `divide_rows` gives them.
        rows_per_step: rows of each task in a training batch; 0 takes all of them.
    """

    table: MultiTaskData
    parts: Parts
    seed: tuple[Key, ...] = ("train", 0)
    rows_per_step: int = 0

    @property
    def digest(self) -> str:
        """SHA-256 hex of the contents and the split."""
        whole = hashlib.sha256(self.table.contents.encode())
        for name in SPLITS:
            for rows in self.parts[name]:
                whole.update(rows.astype("<i8").tobytes())
        return whole.hexdigest()

    def numbers(self, *splits: str) -> tuple[list[np.ndarray], list[np.ndarray]]:
        """x [n_t, D] and y [n_t] of each task, the splits one behind the other; rows whose
        target is missing are left out."""
        x, y = [], []
        for task, targets in enumerate(self.table.y):
            rows = self.chosen(task, splits)
            known = rows[~np.isnan(targets[rows])]
            x.append(self.table.x[task][known])
            y.append(targets[known])
        return x, y

    def words(self, *splits: str) -> list[list[str]]:
        """The texts of each task, in the order of `numbers`."""
        found = []
        for task, targets in enumerate(self.table.y):
            rows = self.chosen(task, splits)
            known = rows[~np.isnan(targets[rows])]
            found.append([self.table.texts[task][row] for row in known.tolist()])
        return found

    def chosen(self, task: int, splits: Sequence[str]) -> np.ndarray:
        return np.concatenate([self.parts[name][task] for name in splits])

    def batch(self, *splits: str, dtype: torch.dtype = torch.float32) -> Batch:
        """All rows: x [T, M, D] (or [M, D] where rows are shared), y [T, M], mask [T, M]."""
        as_tensor: Callable[[np.ndarray], torch.Tensor] = torch.from_numpy
        if self.table.rows == "shared":
            rows = self.chosen(0, splits)
            targets = np.stack([y[rows] for y in self.table.y])
            known = ~np.isnan(targets)
            mask = None if known.all() else as_tensor(known)
            seen = as_tensor(np.where(known, targets, 0.0)).to(dtype)
            return Batch(as_tensor(self.table.x[0][rows]).to(dtype), seen, mask)
        x, y = self.numbers(*splits)
        most = max(map(len, y))
        kind = x[0].dtype  # bytes of images stay bytes until they are tensors
        padded_x = np.zeros((len(y), most, self.table.num_columns), kind)
        padded_y, present = np.zeros((len(y), most)), np.zeros((len(y), most), bool)
        for t, (rows, targets) in enumerate(zip(x, y, strict=True)):
            padded_x[t, : len(targets)], padded_y[t, : len(targets)] = rows, targets
            present[t, : len(targets)] = True
        return Batch(
            as_tensor(padded_x).to(dtype), as_tensor(padded_y).to(dtype), as_tensor(present)
        )

    def draw(self, whole: Batch, step: int) -> Batch:
        """The batch of a training step out of all training rows: `rows_per_step` of each task,
        with replacement."""
        if not self.rows_per_step:
            return whole
        counts = [self.count(task) for task in range(len(self.table.tasks))]
        shared = self.table.rows == "shared"
        wanted = (1 if shared else len(counts), self.rows_per_step)
        words = stream(*self.seed, step).random_raw(wanted[0] * wanted[1]).reshape(wanted)
        bounds = np.array(counts)[: wanted[0], None]
        rows = torch.from_numpy(integers(words, bounds).astype(np.int64))
        if shared:
            mask = None if whole.mask is None else whole.mask[:, rows[0]]
            return Batch(whole.x[rows[0]], whole.y[:, rows[0]], mask)
        task = torch.arange(len(counts))[:, None]
        return Batch(whole.x[task, rows], whole.y[task, rows])

    def count(self, task: int) -> int:
        """Training rows that `draw` chooses from."""
        rows = self.parts["train"][task]
        if self.table.rows == "shared":
            return len(rows)
        return int((~np.isnan(self.table.y[task][rows])).sum())

    def standard(self, *splits: str) -> Standard:
        """Statistics of these rows, each task's rows once."""
        x, y = self.numbers(*splits)
        pooled = np.concatenate(y)
        means, scales = [], []
        for kind, mine in zip(self.table.kinds, y, strict=True):
            if kind == "classification":
                means.append(0.0)
                scales.append(1.0)
            else:
                of = pooled if self.table.scale == "pooled" else mine
                means.append(float(of.mean()))
                scales.append(float(of.std()) or 1.0)
        x_mean, x_scale = self.input_statistics(x, splits)
        return Standard(x_mean, x_scale, np.array(means), np.array(scales))

    def input_statistics(
        self, x: Sequence[np.ndarray], splits: Sequence[str]
    ) -> tuple[np.ndarray, np.ndarray]:
        """Mean and scale of every column, [D] each."""
        if self.table.levels is not None:
            mean, scale = (np.full(self.table.width, value) for value in self.table.levels)
            return mean, scale
        shared = self.table.rows == "shared"
        every = self.table.x[0][self.chosen(0, splits)] if shared else np.concatenate(list(x))
        scale = every.std(0)
        scale[scale < 1e-12] = 1.0
        return every.mean(0), scale


def content_digest(x: Sequence[np.ndarray], y: Sequence[np.ndarray]) -> str:
    """SHA-256 hex of the numbers of all tasks."""
    whole = hashlib.sha256()
    for array in (*x, *y):
        whole.update(np.ascontiguousarray(array, "<f8").tobytes())
    return whole.hexdigest()
