"""A multi-task model on labelled rows of a user's own: the score is that of its predictions."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from test_task_use import alphabets as alphabets
from test_task_use import mixed as mixed
from test_task_use import own_rows, people, pictures, write_rows
from test_task_use import place as place

from metacli.cli.app import main
from metacli.engine.evaluate import evaluate
from metacli.engine.events import Notice
from metacli.engine.models import folder as models
from metacli.engine.multitask import multitask
from metacli.engine.predict import predict
from metacli.engine.scoring.multi_task_scores import score
from metacli.engine.training.multi_task.build import make_rows
from metacli.errors import DataError, UsageProblem

pytestmark = pytest.mark.usefixtures("one_thread")
COLUMNS = [f"x{number}" for number in range(1, 25)]


def rows_with_targets(path: str, tasks: list[str], each: int = 12) -> tuple[np.ndarray, list[str]]:
    """A table of random rows of these tasks, each with a number to predict."""
    draw = np.random.default_rng(3)
    names = [task for task in tasks for _ in range(each)]
    x, y = draw.normal(size=(len(names), 24)).astype(np.float32), draw.normal(size=len(names))
    write_rows(path, x, COLUMNS, names)
    header, *lines = Path(path).read_text().splitlines()
    text = [
        f"{header},y",
        *(f"{line},{one!r}" for line, one in zip(lines, y.tolist(), strict=True)),
    ]
    Path(path).write_text("\n".join(text) + "\n")
    return y, names


def test_rows_of_a_table_are_scored_by_the_task_that_they_name():
    own_rows()
    y, names = rows_with_targets("mine.csv", ["alone-1", "group1-2"])
    result = evaluate("run", "mine.csv")
    said = np.array([row["prediction"] for row in predict("run", "mine.csv")["rows"]])
    order = ["group1-2", "alone-1"]  # the model's
    parts = [np.array(names) == name for name in order]
    metric = make_rows(models.load(Path("run/model")).recipe).table.metric
    wanted = score(metric, [y[part] for part in parts], [said[part] for part in parts])
    assert (result["metric"], result["num_tasks"], result["rows"]) == (metric, 2, 24)
    assert result["mean"] == pytest.approx(wanted.value, rel=1e-4)
    assert [task["name"] for task in result["tasks"]] == order
    single = result["baselines"]["single-task"]
    assert single["delta"] == pytest.approx(result["mean"] - single["mean"])
    line = json.loads(Path("run/scores.jsonl").read_text().splitlines()[-1])
    assert (line["unit"], len(line["values"])) == ("task", 2)


def test_columns_that_are_tasks_are_scored_where_they_are_filled_in(mixed: str):
    header, *lines = people(60).splitlines()
    kept = [",".join([*line.split(",")[:3], "", line.split(",")[4]]) for line in lines[40:50]]
    Path("new.csv").write_text("\n".join([header, *kept, *lines[50:]]) + "\n")
    result = evaluate(mixed, "new.csv")
    assert [task["name"] for task in result["tasks"]] == ["rich", "kind", "hours"]
    assert result["rows"] == 20 + 10 + 20
    rows = predict(mixed, "new.csv")["rows"]
    said = [row["prediction"] for row in rows if row["task"] == "rich"]
    truth = [line.split(",")[2] for line in lines[40:]]
    right = np.mean([a == b for a, b in zip(said, truth, strict=True)])
    assert result["tasks"][0]["value"] == pytest.approx(right)


def test_a_folder_of_tables_that_are_called_as_their_tasks():
    own_rows()
    Path("folder").mkdir()
    rows_with_targets("one.csv", ["alone-1"])
    rows_with_targets("two.csv", ["group1-1"])
    for name, task in (("one", "alone-1"), ("two", "group1-1")):
        lines = [line.split(",") for line in Path(f"{name}.csv").read_text().splitlines()]
        text = "\n".join(",".join([*cells[:24], cells[25]]) for cells in lines)
        Path("folder", f"{task}.csv").write_text(text + "\n")
    result = evaluate("run", "folder")
    assert [task["name"] for task in result["tasks"]] == ["group1-1", "alone-1"]
    Path("folder/alone-1.csv").rename("folder/somebody.csv")
    with pytest.raises(DataError, match="'somebody' is no task"):
        evaluate("run", "folder")


def test_images_are_scored_in_folders_of_their_tasks(alphabets: str):
    pictures("all/first", "ab", 3)
    pictures("all/second", "cde", 2)
    result = evaluate(alphabets, "all")
    assert [task["name"] for task in result["tasks"]] == ["first", "second"]
    assert result["rows"] == 12
    rows = predict(alphabets, "all/second")["rows"]
    right = np.mean([Path(row["input"]).parent.name == row["prediction"] for row in rows])
    assert result["tasks"][1]["value"] == pytest.approx(right)
    assert evaluate(alphabets, "all/second")["tasks"][0]["value"] == pytest.approx(right)
    Path("all/second/z").mkdir()
    Image.new("L", (28, 28), 7).save("all/second/z/0.png")
    with pytest.raises(DataError, match="'z', and its task has the classes c, d, e"):
        evaluate(alphabets, "all")


def test_what_was_trained_on_is_reported_of_rows_and_refused_of_texts(mixed: str):
    Path("again.csv").write_text(people())
    said: list[object] = []
    evaluate(mixed, "again.csv", report=said.append)
    notices = [one.message for one in said if isinstance(one, Notice)]
    (said_of_rows,) = [one for one in notices if "are among those that the model" in one]
    assert 0 < int(said_of_rows.split()[0]) <= len(people().splitlines()) - 1  # once for all tasks
    Path("reviews").mkdir()
    for task in ("shop", "film"):
        lines = [f"{task} {word} number {number},{word}" for number in range(12) for word in GOOD]
        Path("reviews", f"{task}.csv").write_text("\n".join(["text,label", *lines]) + "\n")
    multitask("reviews", ["train.steps=2"], out="run")
    with pytest.raises(DataError, match="different texts are among those"):
        evaluate("run", "reviews")
    assert evaluate("run", "reviews", allow_duplicates=True)["num_tasks"] == 2
    Path("new.csv").write_text("task,text,label\nfilm,so good it is,good\nshop,it was bad,bad\n")
    result = evaluate("run", "new.csv")
    rows = predict("run", "new.csv")["rows"]
    right = [float(row["prediction"] == word) for row, word in zip(rows, GOOD, strict=True)]
    assert {task["name"]: task["value"] for task in result["tasks"]} == {
        "film": right[0],
        "shop": right[1],
    }


GOOD = ("good", "bad")


def test_rows_without_any_of_several_targets_are_told_which_columns(
    mixed: str, capsys: pytest.CaptureFixture[str]
):
    lines = [line.split(",") for line in people().splitlines()]
    tasks = models.load(Path(mixed) / "model").heads.tasks
    keep = [at for at, name in enumerate(lines[0]) if name not in tasks]
    Path("bare.csv").write_text("\n".join(",".join(row[at] for at in keep) for row in lines))
    with pytest.raises(DataError, match="says nowhere of which task") as caught:
        evaluate(mixed, "bare.csv")
    assert str(caught.value.hint).startswith("a column for each task with labels")
    Path("again.csv").write_text(people())
    assert main(["evaluate", mixed, "again.csv"]) == 0
    out = capsys.readouterr().out
    assert " metric " in out
    assert "mean difference of " in out
    assert "(your rows)" in out


def test_what_is_missing_or_unknown_is_named(capsys: pytest.CaptureFixture[str]):
    own_rows()
    write_rows("rows.csv", np.zeros((2, 24)), COLUMNS)
    with pytest.raises(DataError, match="says nowhere of which task") as caught:
        evaluate("run", "rows.csv")
    assert "group1-1, group1-2, alone-1" in str(caught.value.hint)
    write_rows("rows.csv", np.zeros((2, 24)), COLUMNS, ["alone-1", "alone-1"])
    with pytest.raises(DataError, match="no column is the target"):
        evaluate("run", "rows.csv")
    with pytest.raises(UsageProblem, match="--split"):
        evaluate("run", "rows.csv", split="test")
    rows_with_targets("mine.csv", ["alone-1"])
    assert main(["evaluate", "run", "mine.csv"]) == 0
    assert "alone-1" in capsys.readouterr().out
