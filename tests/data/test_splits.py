"""Which rows of a task are for training, validation and test."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from metacli.data.multi_task.dataset import MultiTaskData, all_of
from metacli.data.multi_task.splits import FEWEST, GAP, divide_rows
from metacli.errors import DataError


def table(*targets: np.ndarray, kind: str = "regression", **changes: object) -> MultiTaskData:
    """Tasks with these targets."""
    made = MultiTaskData(
        name="toy",
        tasks=tuple(f"t{number}" for number in range(len(targets))),
        metric="nmse" if kind == "regression" else "accuracy",
        contents="0",
        x=tuple(one[:, None] for one in targets),
        y=targets,
        kinds=all_of(kind, len(targets)),  # type: ignore[arg-type]
    )
    return replace(made, **changes)  # type: ignore[arg-type]


def sizes(parts: dict[str, tuple[np.ndarray, ...]], task: int = 0) -> list[int]:
    return [len(parts[name][task]) for name in ("train", "val", "test")]


def test_a_quarter_is_test_and_a_fifth_of_the_rest_validation_and_nothing_is_lost() -> None:
    parts = divide_rows(table(np.arange(80.0), np.arange(40.0)), 0)
    assert sizes(parts) == [48, 12, 20]
    assert sizes(parts, 1) == [24, 6, 10]
    for task, count in ((0, 80), (1, 40)):
        together = np.concatenate([parts[name][task] for name in parts])
        assert sorted(together) == list(range(count))
    assert not np.array_equal(parts["test"][0], divide_rows(table(np.arange(80.0)), 1)["test"][0])


def test_classes_are_divided_apart_and_all_together_where_one_is_too_small() -> None:
    y = np.repeat([0.0, 1.0], [60, 20])
    parts = divide_rows(table(y, kind="classification"), 0)
    assert [np.bincount(y[parts[name][0]].astype(int)).tolist() for name in parts] == [
        [36, 12],
        [9, 3],
        [15, 5],
    ]
    few = np.array([0.0, 0.0, 1.0, 1.0, 2.0, 2.0])  # two of each: none would be validated on
    made = table(few, kind="classification", classes=(("a", "b", "c"),))
    assert sizes(divide_rows(made, 0)) == [3, 1, 2]


def test_rows_without_a_target_are_in_no_part() -> None:
    y = np.arange(40.0)
    y[::4] = np.nan
    parts = divide_rows(table(y), 0)
    together = np.concatenate([parts[name][0] for name in parts])
    assert sorted(together) == [row for row in range(40) if row % 4]
    with pytest.raises(DataError, match=f"needs {FEWEST} rows .*: t0 {FEWEST - 1} "):
        divide_rows(table(np.append(np.arange(FEWEST - 1.0), np.nan)), 0)
    divide_rows(table(np.arange(float(FEWEST))), 0)


def test_the_last_rows_of_a_task_are_its_test_where_some_are_named() -> None:
    made = table(np.arange(30.0), np.arange(30.0), split="last", test_rows=(8, 0))
    parts = divide_rows(made, 0)
    assert parts["test"][0].tolist() == list(range(22, 30))
    assert parts["test"][1].tolist() != list(range(22, 30))  # 0: drawn
    assert sizes(parts) == [18, 4, 8]
    assert sizes(parts, 1) == [18, 4, 8]
    more = divide_rows(table(np.arange(30.0), split="more", test_rows=(10,)), 0)
    assert set(range(20, 30)) < set(more["test"][0].tolist())
    assert sizes(more) == [12, 3, 15]


def test_shared_rows_are_divided_once_for_all_tasks() -> None:
    y = np.arange(40.0)
    parts = divide_rows(table(y, y[::-1].copy(), rows="shared"), 0)
    for name in parts:
        assert parts[name][0].tolist() == parts[name][1].tolist()
    last = divide_rows(table(y, y, rows="shared", split="last", test_rows=(7, 7)), 0)
    assert last["test"][1].tolist() == list(range(33, 40))


@pytest.mark.parametrize("blocks", [6, 12])
def test_stretches_have_three_hundred_rows_and_a_gap_between_them(blocks: int) -> None:
    rows = blocks * (300 + 2 * GAP)
    y = np.arange(float(rows))
    parts = divide_rows(table(y, rows="shared", split="blocks"), 0)
    owner = np.full(rows, -1)
    for number, name in enumerate(("train", "val", "test")):
        owner[parts[name][0]] = number
    ends = np.flatnonzero(np.diff(owner))
    stretches = [one for one in np.split(owner, ends + 1) if one[0] >= 0]
    assert [len(one) for one in stretches] == [300] * blocks
    assert min(len(one) for one in np.split(owner, ends + 1) if one[0] < 0) == GAP
    counts = [sum(one[0] == number for one in stretches) for number in range(3)]
    assert counts == {6: [3, 1, 2], 12: [7, 2, 3]}[blocks]
    with pytest.raises(DataError, match="too few for blocks"):
        divide_rows(table(y[: 6 * 332 - 1], rows="shared", split="blocks"), 0)
