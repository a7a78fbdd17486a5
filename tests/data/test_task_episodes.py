"""Few-shot regression on rows: tasks are divided, rows are drawn, numbers are standardised."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from metacli.data.few_shot.regression import (
    RegressionEpisodes,
    RegressionTasks,
    divide_tasks,
    regression_tasks,
)
from metacli.data.tables.reader import Table, parse_table
from metacli.errors import DataError


def tables(count: int = 10, rows: int = 9) -> dict[str, Table]:
    made = {}
    for task in range(count):
        cells = "".join(f"{i},{10 * task + i}\n" for i in range(rows))
        made[f"task-{task}"] = parse_table(f"a,y\n{cells}".encode(), "csv", f"{task}.csv")
    return made


def tasks(split: str) -> RegressionTasks:
    return regression_tasks("mine", split, tables(), "y", {"a": "numeric"})


def test_tasks_are_divided_and_none_is_in_two_parts() -> None:
    parts = divide_tasks([f"school-{i:03}" for i in range(139)], "school")
    assert [len(parts[split]) for split in ("train", "val", "test")] == [100, 11, 28]
    assert len({one for part in parts.values() for one in part}) == 139
    with pytest.raises(DataError, match="5 are needed"):
        divide_tasks(["a", "b"], "few")


def test_the_statistics_are_of_the_training_tasks_whichever_split_is_asked_for() -> None:
    train, test = tasks("train"), tasks("test")
    assert train.target == test.target
    assert train.encoding == test.encoding
    whole = np.concatenate([train.target.decode(y) for y in train.y])
    np.testing.assert_allclose(train.target.mean, whole.mean(), rtol=1e-6)
    assert abs(np.concatenate(train.y).mean()) < 1e-6


def test_support_and_query_of_an_episode_are_different_rows_of_one_task() -> None:
    source = RegressionEpisodes(tasks=tasks("train"), shot=4, query=5)
    seen = set()
    for index in range(30):
        task, support, query = source.members(index)
        seen.add(task)
        assert len({*support, *query}) == 9
        episode = source.episode(index)
        assert episode.support.x.shape == (4, 1)
        wanted = source.tasks.y[task][support]
        torch.testing.assert_close(episode.support.y[:, 0], torch.from_numpy(wanted))
    assert len(seen) == len(source.tasks.tasks)


def test_a_meta_batch_stacks_the_episodes_by_their_numbers() -> None:
    source = RegressionEpisodes(tasks=tasks("train"), shot=3, query=2, meta_batch=2)
    stacked = source.meta_batch_at(3)
    torch.testing.assert_close(stacked.query.y[1], source.episode(7).query.y)


def test_a_task_with_too_few_rows_is_named() -> None:
    with pytest.raises(DataError, match="10 rows of each task"):
        RegressionEpisodes(tasks=tasks("train"), shot=5, query=5)


def every_split(of: dict[str, Table]) -> None:
    for split in ("train", "val", "test"):
        regression_tasks("mine", split, of, "y", {"a": "numeric"})


def test_a_missing_target_is_named_by_row() -> None:
    broken = tables() | {"task-3": parse_table(b"a,y\n1,2\n2,\n", "csv", "3.csv")}
    with pytest.raises(DataError, match="row 3, column y of 3"):
        every_split(broken)
