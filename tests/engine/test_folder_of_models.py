"""`evaluate`, `predict`, `export` of a folder of models: each model for the task of its name."""

from __future__ import annotations

import csv
import io
import json
import math
import shutil
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import t
from tiny_models import adapted_model, saved, tiny_model, write_classes

import metacli
from metacli.cli import export as export_view
from metacli.cli.app import main
from metacli.engine.adapt import adapt
from metacli.engine.evaluate import evaluate
from metacli.engine.export import export
from metacli.engine.many.models import models_below
from metacli.engine.predict import predict
from metacli.engine.report import report
from metacli.errors import BundleError, CheckFailed, DataError, UsageProblem

pytestmark = pytest.mark.usefixtures("workplace", "one_thread")

TASKS = ("c0", "c1", "c2")


@pytest.fixture
def models() -> Path:
    """Three models in `models`, and labelled tasks of as many new examples in `new`."""
    saved(tiny_model(), Path("source"))
    for number, name in enumerate(TASKS):
        write_classes(Path("customers") / name, {"dog": 4, "cat": 4}, seed=number)
        write_classes(Path("new") / name, {"dog": 6, "cat": 5}, seed=10 + number)
    adapt("source", "customers", out="models")
    return Path("models")


@pytest.fixture
def tables() -> Path:
    """Two models of tables, whose tasks are tables."""
    draw = np.random.default_rng(0)
    for folder, count in (("shops", 12), ("more", 20)):
        Path(folder).mkdir()
        for name, slope in (("north", 2.0), ("south", -3.0)):
            x = draw.normal(size=count)
            rows = [f"{a},{slope * a + 1}" for a in x]
            Path(folder, f"{name}.csv").write_text("\n".join(["size,target", *rows]) + "\n")
    adapt("features", "shops", type="regression", out="shop_models")
    return Path("shop_models")


def test_each_task_is_measured_by_the_model_of_its_name(models: Path) -> None:
    result = evaluate(models, "new")
    alone = [evaluate(models / name, Path("new") / name) for name in TASKS]
    assert [row["name"] for row in result["tasks"]] == list(TASKS)
    for row, one in zip(result["tasks"], alone, strict=True):
        assert (row["value"], row["low"], row["high"]) == (one["mean"], one["low"], one["high"])
        assert (row["n"], row["status"]) == (11, "evaluated")
    json.dumps(result)


def test_the_mean_over_tasks_has_students_interval(models: Path) -> None:
    shutil.move("new/c1", "new/c3")  # so that values differ, whatever the weights
    shutil.move("new/c2", "new/c1")
    shutil.move("new/c3", "new/c2")
    result = evaluate(models, "new")
    values = np.array([row["value"] for row in result["tasks"]])
    half = t.ppf(0.975, 2) * values.std(ddof=1) / math.sqrt(3)
    assert result["mean"] == pytest.approx(values.mean())
    assert result["ci95"] == pytest.approx(half)
    assert result["worst"] == TASKS[int(values.argmin())]
    assert result["query"] == 33


def test_a_task_without_a_model_or_unreadable_is_named_and_the_rest_kept(models: Path) -> None:
    write_classes(Path("new/stranger"), {"dog": 4, "cat": 4}, seed=20)
    (Path("new/c1/dog") / "broken.png").write_bytes(b"no image")
    with pytest.raises(DataError, match="2 of 4 tasks could not be evaluated") as caught:
        evaluate(models, "new")
    named = [finding.message.split(":")[0] for finding in caught.value.findings]
    assert named == ["c1", "stranger"]
    result = caught.value.result
    assert result is not None
    status = {row["name"]: row["status"] for row in result["tasks"]}
    assert status == {
        "c0": "evaluated",
        "c1": "failed",
        "c2": "evaluated",
        "stranger": "failed",
    }
    assert result["mean"] is not None


def test_models_without_a_task_are_reported(models: Path) -> None:
    shutil.rmtree("new/c1")
    seen: list[object] = []
    result = evaluate(models, "new", report=seen.append)
    assert [row["name"] for row in result["tasks"]] == ["c0", "c2"]
    assert any("no task there for 1 of 3 models: c1" in str(event) for event in seen)


def test_one_task_by_its_name_is_enough(models: Path) -> None:
    result = evaluate(models, "new/c1")
    assert [row["name"] for row in result["tasks"]] == ["c1"]
    assert (result["mean"], result["ci95"]) == (result["tasks"][0]["value"], None)
    shutil.move("new/c1", "other")
    with pytest.raises(DataError, match="no task of other is called like a model"):
        evaluate(models, "other")


def test_checks_look_at_the_worst_task(models: Path) -> None:
    rows = evaluate(models, "new")["tasks"]
    worst, low = min(row["value"] for row in rows), min(row["low"] for row in rows)
    evaluate(models, "new", fail_under=[f"accuracy={worst}", f"accuracy_low={low}"])
    with pytest.raises(CheckFailed, match="accuracy_low is") as caught:
        evaluate(models, "new", fail_under=[f"accuracy_low={low + 0.01}"])
    assert caught.value.result is not None
    assert len(caught.value.result["tasks"]) == 3
    with pytest.raises(UsageProblem, match="between 0 and 1"):
        evaluate(models, "new", fail_under=["accuracy_low=90"])
    with pytest.raises(UsageProblem, match="no metric 'auc'"):
        evaluate(models, "new", fail_under=["auc=0.5"])


def test_a_folder_of_models_wants_labelled_tasks_and_no_episodes(models: Path) -> None:
    with pytest.raises(UsageProblem, match="labelled examples"):
        evaluate(models)
    with pytest.raises(UsageProblem, match="for episodes"):
        evaluate(models, "new", way=3)


def test_all_scores_go_into_the_file_that_is_asked_for(models: Path) -> None:
    result = evaluate(models, "new", out="scores.jsonl")
    lines = [json.loads(line) for line in Path("scores.jsonl").read_text().splitlines()]
    assert [Path(line["model"]).name for line in lines] == list(TASKS)
    assert result["scores"] == str(Path("scores.jsonl").absolute())
    dry = evaluate(models, "new", out="other.jsonl", dry_run=True)
    assert {row["status"] for row in dry["tasks"]} == {"readable"}
    assert not Path("other.jsonl").exists()


def test_inputs_go_to_the_model_of_their_folder(models: Path) -> None:
    rows = predict(models, "new")["rows"]
    assert [row["task"] for row in rows] == [name for name in TASKS for _ in range(11)]
    for name in TASKS:
        own = [{**row} for row in rows if row["task"] == name]
        alone = predict(models / name, Path("new") / name)["rows"]
        assert [{key: row[key] for key in alone[0]} for row in own] == alone
    files = sorted(Path("new").rglob("*.png"))  # as a shell would name them
    assert predict(models, files)["rows"] == rows


def test_a_loaded_folder_of_models_answers_without_its_files(models: Path) -> None:
    loaded = metacli.load(models)
    assert (list(loaded), len(loaded), loaded.path) == (list(TASKS), 3, models.absolute())
    wanted = predict(models, Path("new"))
    assert loaded.predict(Path("new")) == wanted
    one = loaded["c1"].predict(Path("new/c1"))
    assert [row.prediction for row in one.rows] == [
        row.prediction for row in wanted.rows if row.task == "c1"
    ]
    with pytest.raises(KeyError):
        loaded["c9"]
    shutil.rmtree(models)
    assert loaded.predict(Path("new")) == wanted


def test_an_input_without_a_model_is_a_row_with_an_error(models: Path) -> None:
    write_classes(Path("new/stranger"), {"dog": 1}, seed=20)
    with pytest.raises(DataError, match="no model is called stranger") as caught:
        predict(models, "new")
    assert caught.value.result is not None
    rows = caught.value.result["rows"]
    assert [row["task"] for row in rows if row["error"]] == ["stranger"]
    assert sum(row["error"] is None for row in rows) == 33
    with pytest.raises(DataError, match="no input is called like a model"):
        predict(models, "new/stranger")
    with pytest.raises(UsageProblem, match="files and folders"):
        predict(models, "-", stdin=b"a\n")


def test_tables_go_to_the_model_of_their_name(
    tables: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    result = evaluate(tables, "more")
    assert [row["name"] for row in result["tasks"]] == ["north", "south"]
    assert result["metric"] == "mae"
    assert result["worst"] == max(result["tasks"], key=lambda row: row["value"])["name"]
    high = max(row["high"] for row in result["tasks"])
    with pytest.raises(CheckFailed, match="mae_high is"):
        evaluate(tables, "more", fail_over=[f"mae_high={high / 2}"])
    with pytest.raises(UsageProblem, match="lower is better"):
        evaluate(tables, "more", fail_under=["mae_high=1"])
    assert main(["predict", str(tables), "more/south.csv", "more/north.csv"]) == 0
    rows = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    assert [row["task"] for row in rows] == ["south"] * 20 + ["north"] * 20
    x, y = np.loadtxt("more/south.csv", delimiter=",", skiprows=1).T
    found = np.array([float(row["prediction"]) for row in rows[:20]])
    assert np.corrcoef(found, y)[0, 1] > 0.99
    assert np.corrcoef(found, x)[0, 1] < -0.99


def test_each_model_becomes_a_file_of_its_name(tables: Path) -> None:
    (tables / "north" / "model.json").write_text("{}")
    with pytest.raises(DataError, match="1 of 2 tasks could not be exported") as caught:
        export(tables, out="files")
    result = caught.value.result
    assert result is not None
    north, south = result["tasks"]
    assert (north["status"], south["status"]) == ("failed", "exported")
    assert not list(Path("files").glob("north*"))
    assert south["file"] == str(Path("files/south.pt2").absolute())
    assert Path("files/south.pt2").stat().st_size == south["bytes"]
    assert south["parity"]["max_abs"] <= south["parity"]["tolerance"]
    shown = list(export_view.show(result))
    assert any("1 exported, 1 failed" in line for line in shown)
    with pytest.raises(BundleError, match="already exists"):
        export(tables, out="files")
    with pytest.raises(UsageProblem, match="-o is a file"):
        export(tables, out="files.pt2")
    with pytest.raises(UsageProblem, match="folder of models"):
        export(tables, with_support=True)


def test_each_model_has_a_page_of_its_name(
    models: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    evaluate(models, "new")
    assert main(["report", str(models), "-o", "pages"]) == 0
    assert "3 reported" in capsys.readouterr().out
    assert sorted(page.name for page in Path("pages").iterdir()) == [f"{n}.html" for n in TASKS]
    report(models / "c1", out="alone.html")
    assert Path("pages/c1.html").read_bytes() == Path("alone.html").read_bytes()
    (models / "c1" / "model.json").write_text("{}")
    with pytest.raises(BundleError, match="has content"):
        report(models, out="pages")
    with pytest.raises(DataError, match="1 of 3 tasks could not be reported on") as caught:
        report(models, out="again")
    assert [finding.message.split(":")[0] for finding in caught.value.findings] == ["c1"]
    assert sorted(page.name for page in Path("again").iterdir()) == ["c0.html", "c2.html"]


def test_what_is_one_model_is_no_folder_of_models(models: Path) -> None:
    found = models_below(models)
    assert found is not None
    assert list(found.by_task) == list(TASKS)
    assert models_below(models / "c0") is None
    saved(adapted_model(tiny_model()), Path("run/model"))
    assert models_below("run") is None
    saved(adapted_model(tiny_model()), Path("runs/adapted/mine/20260101T000000Z"))
    assert models_below("runs/adapted/mine") is None
    assert models_below("nothing/there") is None


def test_people_see_rows_and_the_exit_code(
    models: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["evaluate", str(models), "new"]) == 0
    out = capsys.readouterr().out
    assert "3 evaluated" in out
    assert sorted(line.split()[0] for line in out.splitlines() if line.startswith("c")) == [*TASKS]
    write_classes(Path("new/stranger"), {"dog": 4, "cat": 4}, seed=20)
    assert main(["evaluate", str(models), "new"]) == 3
    out, err = capsys.readouterr()
    assert "1 failed" in out
    assert "stranger: no model is called stranger" in err
    assert main(["predict", str(models), "new", "--format", "jsonl"]) == 3
    assert len(capsys.readouterr().out.splitlines()) == 33 + 1
