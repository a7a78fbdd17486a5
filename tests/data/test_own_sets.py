"""A user's own sets of tasks as training data: tables, columns and class folders, and what is said
of those that cannot be used."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from metacli.data.sets.own_episodes import OwnEpisodes
from metacli.data.sets.own_files import OwnSets, find_sets
from metacli.data.sets.own_tasks import OwnData, read_own
from metacli.errors import DataError


def rows(seed: int, label: str = "word", count: int = 8) -> str:
    """A table of two inputs and a label."""
    draw = np.random.default_rng(seed)
    lines = ["a,b,label"]
    for number in range(count):
        value = ("yes", "no")[number % 2] if label == "word" else f"{draw.normal():.3f}"
        lines.append(f"{draw.normal():.3f},{draw.normal():.3f},{value}")
    return "\n".join(lines) + "\n"


def tables(root: Path, sets: int = 6, tasks: int = 3) -> Path:
    """SETS/<set>/<task>.csv."""
    for number in range(sets):
        folder = root / f"set{number}"
        folder.mkdir(parents=True)
        for task in range(tasks):
            (folder / f"task{task}.csv").write_text(rows(10 * number + task))
    return root


def one_table(path: Path, *, missing: bool = False) -> Path:
    """One table with two targets, a class and a number, and a column of sets."""
    draw, lines = np.random.default_rng(0), ["which,a,b,sick,dose"]
    for number in range(6):
        for row in range(10):
            sick = "" if missing and row == 0 else ("y", "n")[row % 2]
            lines.append(
                f"s{number},{draw.normal():.3f},{draw.normal():.3f},{sick},{draw.normal():.3f}"
            )
    path.write_text("\n".join(lines) + "\n")
    return path


def drawings(root: Path, sets: int = 3) -> Path:
    """SETS/<set>/<task>/<class>/<image>; the first task of each set has support and query."""
    for number in range(sets):
        for task in range(2):
            for at, kind in enumerate(("cross", "ring")):
                for side in ("support", "query") if task == 0 else ("",):
                    folder = root / f"set{number}" / f"hand{task}" / side / kind
                    folder.mkdir(parents=True)
                    for one in range(3):
                        shade = (37 * number + 17 * task + 11 * at + 3 * one + 5 * len(side)) % 250
                        image = Image.new("L", (9, 9), shade)
                        image.putpixel((one, at), 255 - shade)
                        image.save(folder / f"{one}.png")
    return root


def drawn(data: OwnData, **sizes: int | tuple[int, int]) -> OwnEpisodes:
    asked = {"tasks": 2, "points": 4, "query": 3, **sizes}
    return OwnEpisodes(data, **asked, meta_batch=3)  # type: ignore[arg-type]


def test_a_folder_of_tables_is_divided_into_sets_to_train_validate_and_test(tmp_path: Path) -> None:
    path = tables(tmp_path / "sets")
    parts = {split: read_own(path, OwnSets(), split) for split in ("train", "val", "test")}
    names = [one.name for data in parts.values() for one in data.sets]
    assert sorted(names) == [f"set{number}" for number in range(6)]
    assert [len(data.sets) for data in parts.values()] == [4, 1, 1]
    assert parts["train"].shared_labels
    assert parts["train"].sets[0].tasks[0].labels == ("no", "yes")
    assert parts["train"].store.shape == (4 * 3 * 8, 2)
    # Columns are scaled by the training sets alone.
    assert abs(parts["train"].store.mean()) < 1e-5
    assert parts["train"].digest != parts["test"].digest


def test_a_support_holds_each_class_and_queries_are_other_rows(tmp_path: Path) -> None:
    source = drawn(read_own(tables(tmp_path / "sets"), OwnSets(), "train"))
    for index in range(12):
        _, tasks, parts = source.members(index)
        for task, part in zip(tasks, parts, strict=True):
            assert {task.y[at] for at in part.support} == {0.0, 1.0}
            assert not set(part.support) & set(part.query)
            assert (len(part.support), len(part.query)) == (4, 3)
    one, whole = source.episode(4), source.meta_batch_at(1)
    assert torch.equal(one.support.x, whole.support.x[1])
    assert torch.equal(one.query.y, whole.query.y[1])


def test_several_targets_share_their_rows_and_a_missing_label_is_masked(tmp_path: Path) -> None:
    path = one_table(tmp_path / "all.csv", missing=True)
    options = OwnSets(set="which", target="sick,dose")
    data = read_own(path, options, "train")
    assert data.kinds == {"classification", "regression"}
    assert not data.shared_labels
    source = drawn(data, points=5, query=4)
    seen = []
    for step in range(4):
        episodes = source.meta_batch_at(step)
        assert torch.equal(episodes.support.x[:, 0], episodes.support.x[:, 1])
        assert episodes.ways is not None
        assert sorted(episodes.ways[0].tolist()) == [0, 2]
        assert episodes.support.mask is not None
        seen.append(episodes.support.mask[episodes.ways == 2])
    assert not bool(torch.cat(seen).all())
    known = np.concatenate([task.y for one in data.sets for task in one.tasks if not task.labels])
    assert known.mean() == pytest.approx(0, abs=1e-6)
    assert known.std() == pytest.approx(1, rel=1e-6)


def test_a_column_names_the_tasks_of_a_set(tmp_path: Path) -> None:
    path = tmp_path / "long.csv"
    lines = ["who,what,a,y"]
    for number in range(5):
        lines += [f"s{number},t{row % 3},{row}.5,{('u', 'v')[row // 3 % 2]}" for row in range(24)]
    path.write_text("\n".join(lines) + "\n")
    data = read_own(path, OwnSets(set="who", task="what"), "train")
    assert [task.name for task in data.sets[0].tasks] == ["t0", "t1", "t2"]
    assert data.shared_labels
    assert drawn(data, tasks=(2, 3)).meta_batch_at(0).support.x.shape[-1] == 1


def test_class_folders_keep_their_queries_apart(tmp_path: Path) -> None:
    data = read_own(drawings(tmp_path / "sets"), OwnSets(size=8), "train")
    assert data.store.shape[1:] == (1, 8, 8)
    assert data.store.dtype == np.uint8
    first, second = data.sets[0].tasks
    assert (first.tested, second.tested) == (6, 0)
    source = drawn(data, points=2, query=2)
    for index in range(6):
        _, tasks, parts = source.members(index)
        for task, part in zip(tasks, parts, strict=True):
            if task.tested:
                assert max(part.support) < 6 <= min(part.query)


def test_unequal_tasks_stand_side_by_side_and_padding_does_not_count(tmp_path: Path) -> None:
    path = tables(tmp_path / "sets")
    for number in range(6):
        (path / f"set{number}" / "task0.csv").write_text(rows(number, count=4))
    source = drawn(read_own(path, OwnSets(), "train"), tasks=3, points=6)
    episodes = source.meta_batch_at(0)
    assert episodes.support.mask is not None
    assert {2, 5} <= set(episodes.support.mask.sum(-1).flatten().tolist())
    assert bool((episodes.support.y[~episodes.support.mask] == 0).all())


def test_folders_train_val_and_test_are_the_division(tmp_path: Path) -> None:
    for split in ("train", "val", "test"):
        tables(tmp_path / split, sets=2)
    found = find_sets(tmp_path, OwnSets())
    assert [one.split for one in found] == ["test", "test", "train", "train", "val", "val"]
    assert len(read_own(tmp_path, OwnSets(), "val").sets) == 2


def test_texts_become_numbers(tmp_path: Path) -> None:
    for number in range(4):
        folder = tmp_path / "sets" / f"s{number}"
        folder.mkdir(parents=True)
        for task in ("books", "films"):
            lines = [
                f"I {'like' if row % 2 else 'hate'} it {row} times,{row % 2}" for row in range(8)
            ]
            (folder / f"{task}.csv").write_text("\n".join(["text,label", *lines]) + "\n")
    data = read_own(tmp_path / "sets", OwnSets(features=256), "train")
    assert data.kind == "text"
    assert data.store.shape[1] == 256


def drawn_from_all(path: Path, options: OwnSets) -> list[OwnEpisodes]:
    return [drawn(read_own(path, options, split)) for split in ("train", "val", "test")]


def broken(path: Path, case: str) -> OwnSets:
    """Spoils a folder of tables, and what is said of it."""
    first = path / "set0" / "task0.csv"
    if case == "columns":
        first.write_text(rows(0).replace("a,b", "a,c"))
    elif case == "no label":
        first.write_text(rows(0).replace("yes", "").replace("no", ""))
    elif case == "one class":
        first.write_text(rows(0).replace("yes", "no"))
    elif case == "one task":
        for task in (1, 2):
            (path / "set0" / f"task{task}.csv").unlink()
    elif case == "few rows":
        first.write_text(rows(0, count=2))
    elif case == "both":
        (path / "set0" / "folder").mkdir()
    elif case == "few sets":
        for number in range(2, 6):
            for task in range(3):
                (path / f"set{number}" / f"task{task}.csv").unlink()
            (path / f"set{number}").rmdir()
    return OwnSets()


@pytest.mark.parametrize(
    ("case", "message"),
    [
        ("columns", r"lacks (b|c), which"),
        ("one class", "task0.csv has only one class, no"),
        ("one task", "set set0 has 1 task; sets.tasks asks for 2 or more"),
        ("few rows", "task task0 of set set0 has 2 labelled rows; 3 are needed"),
        ("both", "set set0 has tables and folders"),
        ("few sets", "has 2 sets, none of them for train"),
    ],
)
def test_sets_that_cannot_be_used_are_answered_by_name(
    case: str, message: str, tmp_path: Path
) -> None:
    path = tables(tmp_path / "sets")
    options = broken(path, case)
    with pytest.raises(DataError, match=message):
        drawn_from_all(path, options)


def test_a_task_without_a_label_is_named(tmp_path: Path) -> None:
    path = one_table(tmp_path / "all.csv")
    text = path.read_text().splitlines()
    spoilt = [
        line if not line.startswith("s0,") else ",".join([*line.split(",")[:4], ""])
        for line in text
    ]
    path.write_text("\n".join(spoilt) + "\n")
    with pytest.raises(DataError, match="task dose of set s0 has no label"):
        drawn_from_all(path, OwnSets(set="which", target="sick,dose"))


def test_one_table_needs_a_column_of_sets_and_of_tasks(tmp_path: Path) -> None:
    path = one_table(tmp_path / "all.csv")
    with pytest.raises(DataError, match="which column names the set of a row"):
        find_sets(path, OwnSets(target="sick,dose"))
    with pytest.raises(DataError, match="which of its rows are which task"):
        find_sets(path, OwnSets(set="which", target="sick"))
    with pytest.raises(DataError, match="has no column 'dosis'"):
        find_sets(path, OwnSets(set="which", target="sick,dosis"))
    (tmp_path / "nothing").mkdir()
    with pytest.raises(DataError, match="holds no sets of tasks"):
        find_sets(tmp_path / "nothing", OwnSets())
