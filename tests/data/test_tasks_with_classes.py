"""Classification tasks as what is new: which are read, how they are divided, and their episodes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from metacli.data.few_shot.class_tasks import (
    ClassTaskEpisodes,
    ClassTasks,
    Need,
    large_enough,
    without_small,
)
from metacli.data.few_shot.read_class_tasks import TaskSplitOptions, divide
from metacli.data.sources import kind_of_tasks, load_class_tasks
from metacli.errors import DataError

ROWS = 24


def rows_of(task: int, rows: int = ROWS, labels: tuple[str, str] = ("no", "yes")) -> list[str]:
    rng = np.random.default_rng(task)
    x = rng.normal(size=(rows, 2)) + task
    return [f"{a:.4f},{b:.4f},{labels[i % 2]}" for i, (a, b) in enumerate(x)]


def folder_of_tables(where: Path, tasks: int = 10, rows: int = ROWS) -> Path:
    folder = where / "patients"
    folder.mkdir()
    for task in range(tasks):
        text = "\n".join(["a,b,label", *rows_of(task, rows)])
        (folder / f"p{task}.csv").write_text(text + "\n")
    return folder


def table_with_tasks(where: Path, tasks: int = 10) -> Path:
    lines = ["who,a,b,label"]
    for task in range(tasks):
        lines += [f"p{task},{one}" for one in rows_of(task)]
    path = where / "all.csv"
    path.write_text("\n".join(lines) + "\n")
    return path


def table_of_targets(where: Path, targets: int = 6) -> Path:
    """Six targets of the same 40 rows; every fifth cell of a target is empty."""
    names = [f"t{number}" for number in range(targets)]
    lines = [",".join(["a", "b", *names])]
    for row in range(40):
        cells = ["" if (row + t) % 5 == 0 else str((row // (t + 1)) % 2) for t in range(targets)]
        lines.append(",".join([str(row * 0.5), str(row % 7), *cells]))
    path = where / "targets.csv"
    path.write_text("\n".join(lines) + "\n")
    return path


def folder_of_class_folders(where: Path, tasks: int = 6, per_class: int = 6) -> Path:
    """Each task has classes of its own."""
    folder = where / "shelves"
    for task in range(tasks):
        for label in range(2 + task % 2):
            inside = folder / f"s{task}" / f"thing{task}{label}"
            inside.mkdir(parents=True)
            for number in range(per_class):
                value = (37 * task + 90 * label + number) % 256
                Image.fromarray(np.full((8, 8), value, np.uint8)).save(inside / f"{number}.png")
    return folder


def read(path: Path, split: str = "train", **options: str | int | bool) -> ClassTasks:
    return load_class_tasks(str(path), split, options, path.parent)


def test_a_folder_of_tables_is_a_set_of_tasks_that_are_divided_by_their_names(tmp_path: Path):
    path = folder_of_tables(tmp_path)
    assert kind_of_tasks(str(path), {}, tmp_path) == "classification"
    parts = {split: read(path, split) for split in ("train", "val", "test")}
    assert [len(one.tasks) for one in parts.values()] == [7, 1, 2]
    assert len({name for one in parts.values() for name in one.tasks}) == 10
    assert parts["test"].shared == ("no", "yes")
    assert parts["test"].counts(0).tolist() == [ROWS // 2, ROWS // 2]


def test_numbers_are_scaled_by_the_rows_of_the_training_tasks_alone(tmp_path: Path):
    path = folder_of_tables(tmp_path)
    train, test = read(path), read(path, "test")
    every = np.concatenate([one.take(np.arange(len(one))) for one in train.rows])
    assert every.mean(0) == pytest.approx([0, 0], abs=1e-5)
    assert every.std(0) == pytest.approx([1, 1], abs=1e-3)
    (path / f"{test.tasks[0]}.csv").write_text(
        "\n".join(["a,b,label", *rows_of(900)]) + "\n"
    )  # a test task far away moves nothing
    assert read(path).encoder == train.encoder


@pytest.mark.parametrize("options", [{"task": "who", "target": "label"}, {"task": "who"}])
def test_a_column_of_tasks_gives_the_tasks_of_a_folder(tmp_path: Path, options: dict[str, str]):
    one = read(folder_of_tables(tmp_path))
    other = read(table_with_tasks(tmp_path), **options)
    assert [name.removesuffix(".csv") for name in one.tasks] != []
    again = read(table_with_tasks(tmp_path), **options)
    assert again.digest == other.digest
    assert (len(other.tasks), other.shared) == (len(one.tasks), ("no", "yes"))


def test_each_target_of_a_table_is_a_task_without_the_rows_whose_label_is_missing(tmp_path: Path):
    path, names = table_of_targets(tmp_path), ",".join(f"t{n}" for n in range(6))
    said = {"target": names, "test_tasks": "t4,t5", "val_tasks": "t3"}
    train, test = read(path, **said), read(path, "test", **said)
    assert train.tasks == ("t0", "t1", "t2")
    assert test.tasks == ("t4", "t5")
    assert [len(one) for one in train.rows] == [32, 32, 32]
    assert train.rows[0].store is train.rows[1].store  # kept once
    assert train.example_shape == (2,)  # no target is an input


def test_labels_of_the_training_tasks_are_inputs_but_the_one_that_is_asked(tmp_path: Path):
    path, names = table_of_targets(tmp_path), ",".join(f"t{n}" for n in range(6))
    said = {"target": names, "test_tasks": "t4,t5", "val_tasks": "t3", "known_labels": True}
    train, test = read(path, **said), read(path, "test", **said)
    assert train.example_shape == (2 + 3 * 3,)
    own = train.rows[1].take(np.arange(32))[:, 2:].reshape(32, 3, 3)
    assert (own[:, 1] == [0, 0, 1]).all()  # t1's own is never known
    at = train.rows[1].at
    assert (own[:, 0].argmax(1) == [2 if row % 5 == 0 else row % 2 for row in at]).all()
    of_test = test.rows[0].take(np.arange(8))[:, 2:].reshape(8, 3, 3)
    at = test.rows[0].at[:8]
    assert (
        of_test[:, 1].argmax(1) == [2 if (row + 1) % 5 == 0 else (row // 2) % 2 for row in at]
    ).all()
    assert test.encoder.names == ("a", "b", "t0", "t1", "t2")


def test_tasks_of_class_folders_have_labels_of_their_own(tmp_path: Path):
    path = folder_of_class_folders(tmp_path)
    assert kind_of_tasks(str(path), {}, tmp_path) == "classification"
    tasks = read(path, size=8, channels=1)
    assert tasks.shared is None
    assert tasks.example_shape == (1, 8, 8)
    source = ClassTaskEpisodes(tasks, way=2, shot=2, query=2)
    seen = set()
    for index in range(40):
        members = source.members(index)
        seen.add((members.task, members.labels))
        episode = source.episode(index)
        assert episode.support.y.tolist() == [0, 0, 1, 1]
        assert episode.support.x.dtype.is_floating_point is False
    orders = {task: {labels for at, labels in seen if at == task} for task, _ in seen}
    assert all(len(one) > 1 for one in orders.values())  # numbered anew each time


def test_a_label_keeps_its_number_where_all_tasks_have_the_same(tmp_path: Path):
    tasks = read(folder_of_tables(tmp_path))
    source = ClassTaskEpisodes(tasks, way=2, shot=3, query=4, meta_batch=5)
    for index in range(20):
        members = source.members(index)
        assert members.labels == (0, 1)
        assert tasks.y[members.task][members.support].tolist() == [0] * 3 + [1] * 3
        assert not set(members.support) & set(members.query)
    stacked = source.meta_batch_at(1)
    assert stacked.support.x.shape == (5, 6, 2)
    assert (stacked.query.x[2] == source.episode(7).query.x).all()


def test_rows_of_the_whole_task_hold_every_class(tmp_path: Path):
    tasks = read(folder_of_tables(tmp_path))
    source = ClassTaskEpisodes(tasks, way=2, shot=5, query=6, per="task")
    shares = set()
    for index in range(60):
        members = source.members(index)
        y = tasks.y[members.task]
        assert len(set(members.support)) == 5
        assert len(set(members.query)) == 6
        assert not set(members.support) & set(members.query)
        assert set(y[members.support]) == set(y[members.query]) == {0, 1}
        shares.add(int(y[members.support].sum()))
    assert shares == {1, 2, 3, 4}


def test_the_rest_of_a_task_is_asked(tmp_path: Path):
    source = ClassTaskEpisodes(read(folder_of_tables(tmp_path)), way=2, shot=3, query=1)
    members = source.drawn(0, 3, ("a", 1), rest=True)
    assert sorted([*members.support, *members.query]) == list(range(ROWS))
    assert source.drawn(0, 3, ("a", 1)).support.tolist() == members.support.tolist()
    assert source.drawn(0, 3, ("a", 2)).support.tolist() != members.support.tolist()


def test_tasks_that_are_too_small_are_an_error_that_says_how_to_leave_them_out(tmp_path: Path):
    path = folder_of_tables(tmp_path)
    first = read(path).tasks[0]
    (path / f"{first}.csv").write_text("\n".join(["a,b,label", *rows_of(0, 8)]) + "\n")
    tasks = read(path)
    with pytest.raises(DataError, match="need 8 rows of each class") as found:
        ClassTaskEpisodes(tasks, way=2, shot=5, query=3)
    assert "skip_small" in (found.value.hint or "")
    kept = without_small(tasks, Need(2, 5, 3, "class"))
    assert kept.left_out == (first,)
    assert ClassTaskEpisodes(kept, way=2, shot=5, query=3).tasks.tasks == kept.tasks
    assert len(large_enough(tasks, Need(2, 4, 4, "task"))) == len(tasks.tasks)
    assert len(large_enough(tasks, Need(2, 4, 5, "task"))) == len(tasks.tasks) - 1


def test_another_number_of_ways_than_the_labels_is_an_error(tmp_path: Path):
    with pytest.raises(DataError, match="2 labels no, yes; 3 ways"):
        ClassTaskEpisodes(read(folder_of_tables(tmp_path)), way=3, shot=1, query=1)


def test_a_division_takes_what_is_named_and_draws_the_rest():
    names = [f"t{number}" for number in range(10)]
    parts = divide(names, TaskSplitOptions(test_tasks="t1, t2"), "here")
    assert parts["test"] == ["t1", "t2"]
    assert len(parts["val"]) == 1
    assert sorted(one for part in parts.values() for one in part) == sorted(names)
    assert divide(names, TaskSplitOptions(test_tasks="*"), "here")["test"] == names
    with pytest.raises(DataError, match="no task is called t77"):
        divide(names, TaskSplitOptions(test_tasks="t77"), "here")
    parts = divide(names, TaskSplitOptions(test_tasks="last:3", val_tasks="last:1"), "here")
    assert (parts["test"], parts["val"]) == (["t7", "t8", "t9"], ["t6"])
    with pytest.raises(DataError, match="no task is called t1"):
        divide(names, TaskSplitOptions(test_tasks="t1", val_tasks="t1"), "here")
    with pytest.raises(DataError, match="no task is left"):
        divide(names[:2], TaskSplitOptions(test_tasks="t0", val_tasks="t1"), "here")


def test_a_pool_of_classes_is_no_set_of_tasks(tmp_path: Path):
    for label in ("a", "b"):
        (tmp_path / "pool" / label).mkdir(parents=True)
        Image.fromarray(np.zeros((8, 8), np.uint8)).save(tmp_path / "pool" / label / "1.png")
    assert kind_of_tasks(str(tmp_path / "pool"), {}, tmp_path) is None
    assert kind_of_tasks("glyphs", {}, tmp_path) is None
    table = tmp_path / "one.csv"
    table.write_text("a,label\n" + "".join(f"{n / 3:.2f},{'xy'[n % 2]}\n" for n in range(20)))
    assert kind_of_tasks(str(table), {}, tmp_path) is None
