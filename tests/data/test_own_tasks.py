"""A user's own files as tasks that are learned together."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from metacli.data.multi_task.splits import divide_rows
from metacli.data.sources import load_multi_task
from metacli.errors import DataError


def pupils(rows: int = 48, school: bool = True) -> str:
    lines = [f"age,sex{',school' if school else ''},score,passed"]
    for n in range(rows):
        name = f",s{n % 3}" if school else ""
        lines.append(f"{10 + n % 7},{'fm'[n % 2]}{name},{20 + n / 3},{('no', 'yes')[n % 4 > 1]}")
    return "\n".join(lines) + "\n"


def load(path: Path, **options):
    return load_multi_task(str(path), options, Path("nowhere"))[0]


def test_a_column_of_tasks_gives_each_its_own_rows(tmp_path):
    (tmp_path / "pupils.csv").write_text(pupils())
    made = load(tmp_path / "pupils.csv", task="school", target="score", input="age,sex")
    assert made.tasks == ("s0", "s1", "s2")
    assert (made.rows, made.metric) == ("own", "explained_variance")
    assert [len(y) for y in made.y] == [16, 16, 16]
    assert made.y[1][0] == pytest.approx(20 + 1 / 3)
    assert made.columns == ("age", "sex: f", "sex: m", "sex: another")
    assert made.read.task == "school"


def test_several_targets_share_their_rows(tmp_path):
    (tmp_path / "pupils.csv").write_text(pupils(school=False))
    made = load(tmp_path / "pupils.csv", target="score, passed")
    assert made.tasks == ("score", "passed")
    assert (made.rows, made.metric, made.read.task) == ("shared", "mean_score", None)
    assert made.columns == ("age", "sex: f", "sex: m", "sex: another")


def test_a_folder_of_tables_is_a_set_and_query_rows_are_test(tmp_path):
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        text = pupils(20, school=False).replace(",passed", ",label")
        (tmp_path / name / "support.csv").write_text(text)
        (tmp_path / name / "query.csv").write_text("\n".join(text.splitlines()[:6]) + "\n")
    made = load(tmp_path, target="label", input="age,sex")
    assert made.tasks == ("one", "two")
    assert made.labels == (("no", "yes"),) * 2
    assert divide_rows(made, 0)["test"][0].tolist() == [20, 21, 22, 23, 24]


def test_what_is_constant_in_one_task_may_tell_the_tasks_apart(tmp_path):
    for name in ("one", "two"):
        text = pupils(20, school=False).replace("age,", "town,age,")
        rows = [f"{name},{row}" for row in text.splitlines()[1:]]
        (tmp_path / f"{name}.csv").write_text("\n".join([text.splitlines()[0], *rows]) + "\n")
    made = load(tmp_path, target="score")
    assert "town: one" in made.columns
    assert made.tasks == ("one", "two")


def test_texts_of_several_kinds_are_packed(tmp_path):
    for name in ("films", "books"):
        lines = [f'"{"good" if n % 2 else "bad"} number {n}",{n % 2}' for n in range(16)]
        (tmp_path / f"{name}.csv").write_text("\n".join(["text,label", *lines]) + "\n")
    made = load(tmp_path)
    assert (made.tasks, made.packed, made.metric) == (("books", "films"), 32_768, "accuracy")
    assert made.texts[0][1] == "good number 1"
    assert made.read.as_dict()["column"] == "text"


def test_class_folders_of_each_task_are_images(tmp_path):
    draw = np.random.default_rng(0)
    for task, labels in {"greek": "ab", "latin": "cde"}.items():
        for label in labels:
            (tmp_path / task / label).mkdir(parents=True)
            for n in range(4):
                pixels = draw.integers(0, 256, (9, 9), dtype=np.uint8)
                Image.fromarray(pixels).save(tmp_path / task / label / f"{n}.png")
    made = load(tmp_path, size=9, channels=1)
    assert made.classes == (("a", "b"), ("c", "d", "e"))
    assert (made.shape, made.x[1].shape) == ((1, 9, 9), (12, 81))
    (tmp_path / "greek" / "a" / "0.png").write_bytes(b"no picture")
    with pytest.raises(DataError, match="cannot be read"):
        load(tmp_path, size=9, channels=1)


def test_one_task_alone_is_refused_with_what_to_say(tmp_path):
    (tmp_path / "pupils.csv").write_text(pupils())
    with pytest.raises(DataError, match="holds one task") as caught:
        load(tmp_path / "pupils.csv", target="score")
    assert "data.task=COLUMN" in caught.value.hint
    with pytest.raises(DataError, match="no option 'targets'"):
        load(tmp_path / "pupils.csv", targets="score")
