"""The rows of one task of many, where several tasks may be targets of the same rows: those are kept
once, however many tasks there are.

Letters: M rows, D numbers of a row, T tasks whose labels are inputs.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from metacli.data.few_shot.pools import Store
from metacli.data.tables.coded import CodedRows, Encoder
from metacli.data.tables.encoding import Categorical, Encoding
from metacli.data.tables.reader import Table
from metacli.errors import DataError


@dataclass(frozen=True, eq=False)
class KnownLabels:
    """The labels of other tasks as inputs of a row.

    Args:
        numbers: float32 [M, W], one-hot for each task, its last column for a label that is not
            known. columns: what makes them of cells.
        own: the columns of the task itself, in which no label is known; None: it is none of them.
    """

    numbers: np.ndarray
    columns: tuple[Categorical, ...]
    own: tuple[int, int] | None

    def take(self, rows: np.ndarray) -> np.ndarray:
        found: np.ndarray = self.numbers[rows]
        if self.own is not None:
            first, last = self.own
            found[:, first:last] = 0
            found[:, last - 1] = 1
        return found


@dataclass(frozen=True, eq=False)
class TaskRows:
    """Rows of a store.

    Args:
        store: [S, C, H, W] uint8 of images, or `CodedRows`.
        at: int64 [M], the places of the task's rows in it.
        known: labels of other tasks, which are inputs, too.
    """

    store: Store
    at: np.ndarray
    known: KnownLabels | None = None

    @property
    def shape(self) -> tuple[int, ...]:
        """Of one row: [D], or [C, H, W]."""
        shape = tuple(int(size) for size in self.store.shape[1:])
        return shape if self.known is None else (shape[0] + self.known.numbers.shape[1],)

    def __len__(self) -> int:
        return len(self.at)

    def take(self, rows: np.ndarray) -> np.ndarray:
        """The task's rows of these numbers: float32 [M, D], or uint8 [M, C, H, W]."""
        places = self.at[rows]
        found: np.ndarray = self.store[places]
        if self.known is None:
            return found
        return np.concatenate([found, self.known.take(places)], 1)

    def read_by(self, encoder: Encoder) -> TaskRows:
        """The same rows for a model with another encoder. Raises DataError: it takes images, or
        labels of tasks."""
        if not isinstance(self.store, CodedRows) or self.known is not None:
            what = "images" if self.known is None else "labels of other tasks as inputs"
            raise DataError(f"the rows are {what}, the model reads others", code="data.mismatch")
        return replace(self, store=self.store.read_by(encoder))


def known_labels(
    tasks: tuple[str, ...], table: Table, labels: tuple[str, ...]
) -> tuple[np.ndarray, tuple[Categorical, ...]]:
    """`KnownLabels.numbers` and `columns` of these targets of a table."""
    columns = tuple(Categorical(one, labels) for one in tasks)
    numbers = np.concatenate([one.encode(table) for one in columns], 1).astype(np.float32)
    return numbers, columns


def with_labels(encoding: Encoding, columns: tuple[Categorical, ...]) -> Encoding:
    """What reads the rows of a user's table, whose columns of labels may have empty cells."""
    return Encoding((*encoding.columns, *columns))
