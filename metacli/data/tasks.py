"""Many related tasks as tables: each task its own rows, and one padded batch of all of them.

Letters: T tasks, M rows (padded to the task with the most), D columns. Numbers stay as they are in
the file; standardising them is the network's first layer, with statistics of training rows only.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Literal

import numpy as np
import torch

from metacli.data.draws import integers, shuffled, stream
from metacli.errors import DataError
from metacli.types import Batch

Parts = dict[str, tuple[np.ndarray, ...]]
"""train, val, test -> the row numbers of each task."""

Kind = Literal["regression", "classification"]
SPLITS = ("train", "val", "test")
TEST_SHARE = 0.25
VAL_SHARE = 0.2  # of what is not test
GAP = 16  # rows left out at either end of a block of a trajectory


@dataclass(frozen=True)
class TaskTable:
    """The tasks of a data set.

    Args:
        x: [n_t, D] float64 of each task; the same array for all where they share their rows.
        y: [n_t] float64 of each task; labels are 0 and 1.
        kinds: of each task. metric: by which the set is judged (`engine.task_scores`).
        scale: how targets are standardised: all tasks together, or each for itself.
        rows: `own`, or `shared`: every task has a target for the same rows.
        split: `random` within each task, `blocks` of a trajectory, or `last`: the last rows of
            each task are its test.
        groups: the known group of each task; -1 for one that is related to no other.
        contents: SHA-256 hex of what the numbers were made from.
    """

    name: str
    tasks: tuple[str, ...]
    x: tuple[np.ndarray, ...]
    y: tuple[np.ndarray, ...]
    kinds: tuple[Kind, ...]
    metric: str
    contents: str
    columns: tuple[str, ...] = ()
    scale: Literal["pooled", "task"] = "pooled"
    rows: Literal["own", "shared"] = "own"
    split: Literal["random", "blocks", "last"] = "random"
    test_rows: int = 0  # of `last`
    groups: tuple[int, ...] | None = None

    @property
    def num_columns(self) -> int:
        return self.x[0].shape[1]


def all_of(kind: Kind, count: int) -> tuple[Kind, ...]:
    """`kinds` of tasks that are all alike."""
    return (kind,) * count


def divide(table: TaskTable, seed: int) -> Parts:
    """Training, validation and test rows of every task, named by the seed.

    Raises:
        DataError: a task with too few rows to be divided.
    """
    if table.split == "blocks":
        one = _blocks(len(table.x[0]), table.name, seed)
        return {name: (rows,) * len(table.tasks) for name, rows in one.items()}
    found: list[dict[str, np.ndarray]] = []
    for number, (task, y) in enumerate(zip(table.tasks, table.y, strict=True)):
        if len(y) < 6:
            raise DataError(f"task {task} has {len(y)} rows; 6 are needed", code="data.too_few")
        order = np.array(shuffled(len(y), "tasks", table.name, seed, number))
        if table.split == "last":
            last = len(y) - table.test_rows
            found.append({"test": np.arange(last, len(y)), **_train_val(order[order < last])})
        elif table.kinds[number] == "classification":
            parts = [_cut(order[y[order] == label]) for label in (0, 1)]
            found.append({name: np.concatenate([p[name] for p in parts]) for name in SPLITS})
        else:
            found.append(_cut(order))
    return {name: tuple(np.sort(one[name]) for one in found) for name in SPLITS}


def _cut(order: np.ndarray) -> dict[str, np.ndarray]:
    test = round(TEST_SHARE * len(order))
    return {"test": order[:test], **_train_val(order[test:])}


def _train_val(order: np.ndarray) -> dict[str, np.ndarray]:
    val = max(1, round(VAL_SHARE * len(order)))
    return {"val": order[:val], "train": order[val:]}


def _blocks(rows: int, name: str, seed: int) -> dict[str, np.ndarray]:
    """Whole stretches of a trajectory of at least 300 rows, with a gap between them, since
    neighbouring rows are nearly the same."""
    count = rows // (300 + 2 * GAP)
    if count < 6:
        raise DataError(f"{rows} rows are too few for blocks of 300", code="data.too_few")
    ends = np.linspace(0, rows, count + 1).astype(int)
    pieces = [np.arange(a + GAP, b - GAP) for a, b in pairwise(ends)]
    order = shuffled(count, "blocks", name, seed)
    test = round(TEST_SHARE * count)
    val = max(1, round(VAL_SHARE * (count - test)))
    shares = {"test": order[:test], "val": order[test : test + val], "train": order[test + val :]}
    return {
        part: np.sort(np.concatenate([pieces[i] for i in those])) for part, those in shares.items()
    }


@dataclass(frozen=True)
class Standard:
    """Statistics of training rows: x [D], y [T]. A constant column has scale 1, and so has a
    class."""

    x_mean: np.ndarray
    x_scale: np.ndarray
    y_mean: np.ndarray
    y_scale: np.ndarray


@dataclass(frozen=True)
class TaskRows:
    """A BatchSource: the rows of some tasks under one division.

    Args:
        parts: as `divide` gives them.
        rows_per_step: rows of each task in a training batch; 0 takes all of them.
    """

    table: TaskTable
    parts: Parts
    seed: tuple[Any, ...] = ("train", 0)
    rows_per_step: int = 0

    @property
    def digest(self) -> str:
        """SHA-256 hex of the contents and the division."""
        whole = hashlib.sha256(self.table.contents.encode())
        for name in SPLITS:
            for rows in self.parts[name]:
                whole.update(rows.astype("<i8").tobytes())
        return whole.hexdigest()

    def numbers(self, *splits: str) -> tuple[list[np.ndarray], list[np.ndarray]]:
        """x [n_t, D] and y [n_t] of each task, the splits one behind the other."""
        chosen = [
            np.concatenate([self.parts[name][t] for name in splits])
            for t in range(len(self.table.tasks))
        ]
        x = [self.table.x[t][rows] for t, rows in enumerate(chosen)]
        return x, [self.table.y[t][rows] for t, rows in enumerate(chosen)]

    def batch(self, *splits: str, dtype: torch.dtype = torch.float32) -> Batch:
        """All rows: x [T, M, D] (or [M, D] where rows are shared), y [T, M], mask [T, M]."""
        x, y = self.numbers(*splits)
        if self.table.rows == "shared":
            return Batch(torch.from_numpy(x[0]).to(dtype), torch.from_numpy(np.stack(y)).to(dtype))
        most = max(map(len, y))
        padded_x = np.zeros((len(y), most, self.table.num_columns))
        padded_y, mask = np.zeros((len(y), most)), np.zeros((len(y), most), bool)
        for t, (rows, targets) in enumerate(zip(x, y, strict=True)):
            padded_x[t, : len(targets)], padded_y[t, : len(targets)] = rows, targets
            mask[t, : len(targets)] = True
        as_tensor: Callable[[np.ndarray], torch.Tensor] = torch.from_numpy
        return Batch(as_tensor(padded_x).to(dtype), as_tensor(padded_y).to(dtype), as_tensor(mask))

    def draw(self, whole: Batch, step: int) -> Batch:
        """The batch of a training step out of all training rows: `rows_per_step` of each task,
        with replacement."""
        if not self.rows_per_step:
            return whole
        counts = [len(rows) for rows in self.parts["train"]]
        shared = self.table.rows == "shared"
        wanted = (1 if shared else len(counts), self.rows_per_step)
        words = stream(*self.seed, step).random_raw(wanted[0] * wanted[1]).reshape(wanted)
        bounds = np.array(counts)[: wanted[0], None]
        rows = torch.from_numpy(integers(words, bounds).astype(np.int64))
        if shared:
            return Batch(whole.x[rows[0]], whole.y[:, rows[0]])
        task = torch.arange(len(counts))[:, None]
        return Batch(whole.x[task, rows], whole.y[task, rows])

    def standard(self, *splits: str) -> Standard:
        """Statistics of these rows, each task's rows once."""
        x, y = self.numbers(*splits)
        every = x[0] if self.table.rows == "shared" else np.concatenate(x)
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
        scale = every.std(0)
        scale[scale < 1e-12] = 1.0
        return Standard(every.mean(0), scale, np.array(means), np.array(scales))


def content_digest(x: Sequence[np.ndarray], y: Sequence[np.ndarray]) -> str:
    """SHA-256 hex of the numbers of all tasks."""
    whole = hashlib.sha256()
    for array in (*x, *y):
        whole.update(np.ascontiguousarray(array, "<f8").tobytes())
    return whole.hexdigest()
