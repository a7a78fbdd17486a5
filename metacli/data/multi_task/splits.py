"""Which rows of each task are for training, for validation and for test."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from metacli.data.draws import shuffled
from metacli.data.files import shown
from metacli.data.multi_task.dataset import SPLITS, MultiTaskData, Parts
from metacli.errors import DataError, first_names

TEST_SHARE = 0.25
VAL_SHARE = 0.2  # of what is not test
GAP = 16  # rows left out at either end of a block of a trajectory
FEWEST = 6  # rows of a task that can be divided
NAMED = 20  # tasks in a message


def divide_rows(table: MultiTaskData, seed: int) -> Parts:
    """Training, validation and test rows of every task, named by the seed.

    Raises:
        DataError: a task with too few rows to be divided.
    """
    require_rows(table)
    if table.rows == "shared":
        one = _shared(table, seed)
        return {name: (np.sort(one[name]),) * len(table.tasks) for name in SPLITS}
    found = [_own(table, task, seed) for task in range(len(table.tasks))]
    return {name: tuple(np.sort(one[name]) for one in found) for name in SPLITS}


def require_rows(table: MultiTaskData) -> None:
    """Raises DataError with every task that has too few rows with a label."""
    known = [int((~np.isnan(y)).sum()) for y in table.y]
    few = [
        f"{shown(task)} {count}"
        for task, count in zip(table.tasks, known, strict=True)
        if count < FEWEST
    ]
    if few:
        raise DataError(
            f"every task needs {FEWEST} rows with a label; fewer have: {first_names(few, NAMED)}",
            code="data.too_few",
            where=shown(table.name),
            hint="leave these tasks out, or give them more rows",
        )


def _shared(table: MultiTaskData, seed: int) -> dict[str, np.ndarray]:
    """One split for all tasks: a row that is test for one is test for all."""
    rows = len(table.y[0])
    if table.split == "blocks":
        return _blocks(rows, table.name, seed)
    order = np.array(shuffled(rows, "tasks", table.name, seed))
    if table.split == "last":
        last = rows - table.test_rows[0]
        return {"test": np.arange(last, rows), **_train_val(order[order < last])}
    return _cut(order)


def _own(table: MultiTaskData, task: int, seed: int) -> dict[str, np.ndarray]:
    """The split of one task with rows of its own; each class of a classification apart."""
    y = table.y[task]
    drawn = len(y) - (table.test_rows[task] if table.split == "more" else 0)
    order = np.array(shuffled(drawn, "tasks", table.name, seed, task))
    found = _ordered(table, task, order[~np.isnan(y[order])])
    return {**found, "test": np.append(found["test"], np.arange(drawn, len(y)))}


def _ordered(table: MultiTaskData, task: int, order: np.ndarray) -> dict[str, np.ndarray]:
    """The same of rows in the order in which they are drawn."""
    y = table.y[task]
    if table.split == "last" and table.test_rows[task]:
        last = len(y) - table.test_rows[task]
        return {"test": np.arange(last, len(y)), **_train_val(order[order < last])}
    if table.kinds[task] == "regression":
        return _cut(order)
    parts = [_cut(order[y[order] == label]) for label in range(len(table.labels[task]))]
    found = {name: np.concatenate([one[name] for one in parts]) for name in SPLITS}
    # Classes of one or two rows leave nothing to validate or test on: then all rows together.
    return found if all(map(len, found.values())) else _cut(order)


def _cut(order: np.ndarray) -> dict[str, np.ndarray]:
    test = round(TEST_SHARE * len(order))
    return {"test": order[:test], **_train_val(order[test:])}


def _train_val(order: np.ndarray) -> dict[str, np.ndarray]:
    val = round(VAL_SHARE * len(order))
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
