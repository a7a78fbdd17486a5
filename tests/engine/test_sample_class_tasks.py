"""A classification task as a user's tables."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from metacli.data.few_shot.read_class_tasks import TaskSplitOptions, class_tasks
from metacli.data.multi_task.dataset import MultiTaskData, all_of
from metacli.engine.sample import sample
from metacli.engine.sampling import class_tasks as module
from metacli.errors import DataError

ROWS, TASKS = 30, 8


def toy() -> MultiTaskData:
    """Objects whose rows say in a column which object and row they are."""
    rng = np.random.default_rng(0)
    x = [np.column_stack([np.full(ROWS, t), np.arange(ROWS)]).astype(float) for t in range(TASKS)]
    y = [np.where(np.arange(ROWS) == 3, np.nan, rng.integers(0, 2, ROWS)) for _ in range(TASKS)]
    return MultiTaskData(
        name="grasps",
        tasks=tuple(f"object {t}" for t in range(TASKS)),
        x=tuple(x),
        y=tuple(y),
        kinds=all_of("classification", TASKS),
        metric="accuracy",
        contents="toy",
        columns=("object", "row"),
        classes=(("stable", "slipped"),) * TASKS,
    )


@pytest.fixture(autouse=True)
def stored(monkeypatch: pytest.MonkeyPatch) -> MultiTaskData:
    data = toy()
    monkeypatch.setattr(module, "tasks_with_cells", lambda *_: data)
    monkeypatch.setattr(
        module,
        "load_class_tasks",
        lambda _, split, *__: class_tasks(data, split, TaskSplitOptions()),
    )
    monkeypatch.setattr("metacli.engine.sample.kind_of_tasks", lambda *_: "classification")
    return data


def test_a_sampled_task_has_rows_of_one_unseen_task_with_their_labels(
    stored: MultiTaskData, tmp_path: Path
) -> None:
    found = sample("grasps", tmp_path / "task", shot=3, query=2)
    assert (found.way, found.shot, found.query) == (2, 3, 2)
    assert found.classes == ("slipped", "stable")
    support, query = (pl.read_csv(tmp_path / "task" / f"{one}.csv") for one in ("support", "query"))
    assert support.columns == ["object", "row", "label"]
    both = pl.concat([support, query])
    (task,) = set(both["object"].to_list())
    tested = class_tasks(stored, "test", TaskSplitOptions()).tasks
    assert f"object {int(task)}" in tested
    rows = [int(one) for one in both["row"].to_list()]
    assert len(set(rows)) == 10
    names = ("stable", "slipped")
    wanted = [names[int(stored.y[int(task)][row])] for row in rows]
    assert both["label"].to_list() == wanted
    assert support["label"].to_list().count("stable") == 3


def test_too_many_rows_and_images_are_refused(
    stored: MultiTaskData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(DataError, match="40 shots"):
        sample("grasps", tmp_path / "task", shot=40)
    images = MultiTaskData(**{**vars(stored), "shape": (1, 1, 2)})
    monkeypatch.setattr(module, "tasks_with_cells", lambda *_: images)
    with pytest.raises(DataError, match="are images"):
        sample("grasps", tmp_path / "task")
