"""Few-shot regression: episodes drawn from a set of many tasks, each with rows of its own.

Tasks, not rows, are divided into train, val and test: a test task was never seen. Numbers are
standardised with the rows of the training tasks; those statistics are part of the model.

Letters: K support rows, Q query rows, B meta-batch, D numbers of a row.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from metacli.data.draws import Key, drawn_once, integers, partial_shuffle, plain, stream
from metacli.data.few_shot.pools import SPLITS, check_split
from metacli.data.few_shot.stacked import stacked
from metacli.data.tables.encoding import Encoding, Target
from metacli.data.tables.fitting import fit_encoding, fit_target
from metacli.data.tables.kinds import Kind
from metacli.data.tables.reader import Table
from metacli.data.tables.targets import target_numbers
from metacli.errors import DataError
from metacli.types import Batch, Episode, TaskSpec

SHARES = (0.72, 0.80)  # of the tasks: 72 % train, 8 % val, 20 % test


@dataclass(frozen=True, eq=False)
class RegressionTasks:
    """The tasks of one split, as numbers.

    Args:
        x: float32 [n_t, D] of each task. y: float32 [n_t], standardised by `target`.
        digest: SHA-256 hex of the cells, the task names and the split.
    """

    name: str
    split: str
    tasks: tuple[str, ...]
    x: tuple[np.ndarray, ...]
    y: tuple[np.ndarray, ...]
    encoding: Encoding
    target: Target
    digest: str


def regression_tasks(
    name: str,
    split: str,
    tables: dict[str, Table],
    target: str,
    kinds: Mapping[str, Kind],
    unit: str | None = None,
    identity: str | None = None,
) -> RegressionTasks:
    """The tasks of a split out of the tables of all tasks.

    Args:
        identity: what the digest holds in the place of the name; "" for a user's data, which are
            the same whatever their folder is called.

    Raises:
        DataError: fewer than three tasks, or a cell that is no number.
    """
    check_split(split, name)
    parts = divide_tasks(list(tables), name)
    learned = [tables[one] for one in parts["train"]]
    encoding = fit_encoding(learned, kinds)
    scale = fit_target(target, np.concatenate([target_numbers(t, target) for t in learned]), unit)
    chosen = parts[split]
    called = name if identity is None else identity
    whole = hashlib.sha256(f"{called} {split} {chosen} {encoding} {scale}".encode())
    x = tuple(encoding.encode(tables[one]) for one in chosen)
    y = tuple(
        scale.encode(target_numbers(tables[one], target)).astype(np.float32) for one in chosen
    )
    for array in (*x, *y):
        whole.update(np.ascontiguousarray(array).tobytes())
    return RegressionTasks(name, split, tuple(chosen), x, y, encoding, scale, whole.hexdigest())


def divide_tasks(tasks: Sequence[str], where: str) -> dict[str, list[str]]:
    """72/8/20 % of the tasks in the order of SHA-256 of their names.

    Raises:
        DataError: a part would be empty.
    """
    order = sorted(
        tasks, key=lambda one: hashlib.sha256(one.encode("utf-8", "surrogateescape")).digest()
    )
    first, second = (round(share * len(order)) for share in SHARES)
    second = max(second, first + 1)
    parts = dict(zip(SPLITS, (order[:first], order[first:second], order[second:]), strict=True))
    if not all(parts.values()):
        raise DataError(
            f"{len(order)} tasks cannot be divided into train, val and test; 5 are needed",
            code="data.too_few_tasks",
            where=where,
        )
    return {split: sorted(part) for split, part in parts.items()}


@dataclass(frozen=True)
class RegressionEpisodes:
    """A source of regression episodes: x [K, D], y [K, 1] of the support; Q of the query.

    Episode i takes a task and K + Q of its rows at random, named by (seed, i).

    Args:
        tasks: of one split.
        shot: K; a pair is a range drawn once for each meta-batch.
        query: Q.
        seed: names the stream of episodes; plain values only.
        meta_batch: how many episodes share one draw of K.
    Raises:
        DataError: a task with fewer than K + Q rows.
    """

    tasks: RegressionTasks
    shot: int | tuple[int, int]
    query: int
    seed: tuple[Key, ...] = ("train", 0)
    meta_batch: int = 1

    def __post_init__(self) -> None:
        if not isinstance(self.shot, int):
            object.__setattr__(self, "shot", tuple(self.shot))
        object.__setattr__(self, "seed", plain(self.seed))
        most = self.shot if isinstance(self.shot, int) else self.shot[1]
        short = [
            (name, len(y))
            for name, y in zip(self.tasks.tasks, self.tasks.y, strict=True)
            if len(y) < most + self.query
        ]
        if short:
            raise DataError(
                f"{most} shots and {self.query} queries need {most + self.query} rows of each "
                f"task; {short[0][0]} has {short[0][1]}"
                + (f", and {len(short) - 1} more tasks have too few" if len(short) > 1 else ""),
                code="data.too_few_examples",
                where=f"{self.tasks.name}, split {self.tasks.split}",
                hint="ask for fewer shots or queries",
            )

    @property
    def digest(self) -> str:
        return self.tasks.digest

    @property
    def spec(self) -> TaskSpec:
        return TaskSpec(
            kind="regression",
            way=1,
            shot=self.shot,
            query=self.query,
            split=self.tasks.split,
            num_classes=0,
            input_shape=(self.tasks.encoding.width,),
        )

    def members(self, index: int) -> tuple[int, np.ndarray, np.ndarray]:
        """The task of episode `index`, its support rows and its query rows."""
        word = stream(self.seed, index).random_raw(1)
        task = int(integers(word, len(self.tasks.tasks))[0])
        shot = self._shot(index)
        count, total = shot + self.query, len(self.tasks.y[task])
        words = stream(self.seed, index, "rows").random_raw(count)
        rows = partial_shuffle(integers(words, np.arange(total, total - count, -1)).tolist())
        return task, np.array(rows[:shot]), np.array(rows[shot:])

    def episode(self, index: int) -> Episode:
        """Episode `index`."""
        task, support, query = self.members(index)
        return Episode(self._batch(task, support), self._batch(task, query))

    def meta_batch_at(self, step: int) -> Episode:
        """Episodes step*B .. step*B+B-1: x [B, K, D], y [B, K, 1]."""
        return self.part_at(step, 0, self.meta_batch)

    def part_at(self, step: int, begin: int, end: int) -> Episode:
        """Tasks begin .. end-1 of the meta-batch of a step."""
        first = step * self.meta_batch
        return stacked([self.episode(first + i) for i in range(begin, end)])

    def _batch(self, task: int, rows: np.ndarray) -> Batch:
        x, y = self.tasks.x[task][rows], self.tasks.y[task][rows]
        return Batch(torch.from_numpy(x), torch.from_numpy(y)[:, None])

    def _shot(self, index: int) -> int:
        return drawn_once(self.shot, self.seed, index // self.meta_batch)
