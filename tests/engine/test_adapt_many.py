"""`adapt MODEL FOLDER_OF_TASKS`: a model and a row for each; failures are named, the rest kept."""

from __future__ import annotations

import errno
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from scipy import stats
from tiny_models import saved, tiny_model, write_classes

from metacli.cli.app import main
from metacli.engine.adapt import adapt
from metacli.engine.events import Notice, Progress
from metacli.engine.inspect import inspect
from metacli.engine.many.adapted import transfer_over
from metacli.engine.predict import predict
from metacli.engine.results.adapt_many import TaskRow
from metacli.errors import BundleError, CheckFailed, DataError, RunFailed, UsageProblem

pytestmark = pytest.mark.usefixtures("workplace", "one_thread")


@pytest.fixture
def customers() -> Path:
    for number in range(3):
        write_classes(Path(f"customers/c{number}"), {"dog": 4, "cat": 4}, seed=number)
    saved(tiny_model(), Path("source"))
    return Path("customers")


def test_without_a_source_the_plainest_for_the_kind_of_data_is_named(customers: Path) -> None:
    Path("shops").mkdir()
    for name in ("a.csv", "b.csv"):
        Path("shops", name).write_text("size,y\n" + "".join(f"{k},{2 * k}\n" for k in range(9)))
    for tasks, source in ((customers, "photos"), (Path("shops"), "columns")):
        with pytest.raises(UsageProblem) as caught:
            adapt(tasks, out="models")
        assert caught.value.hint == f"name one: metacli adapt {source} {tasks}, or a model of yours"


def test_each_task_gets_a_model_that_answers_as_one_adapted_alone(customers: Path) -> None:
    result = adapt("source", customers, out="models")
    assert [row["name"] for row in result["tasks"]] == ["c0", "c1", "c2"]
    assert (result["adapted"], result["kept"], result["failed"]) == (3, 0, 0)
    adapt("source", "customers/c1", out="alone")
    inputs = sorted(Path("customers/c1").rglob("*.png"))
    rows = [predict(name, inputs)["rows"] for name in ("models/c1", "alone")]
    assert rows[0] == rows[1]
    values = [row["value"] for row in result["tasks"]]
    assert result["mean"] == pytest.approx(np.mean(values))
    assert result["worst"] == f"c{int(np.argmin(values))}"
    json.dumps(result)


def test_folds_are_three_and_nothing_is_compared_unless_asked(customers: Path) -> None:
    result = adapt("source", customers, out="models")
    assert {row["verdict"] for row in result["tasks"]} == {None}
    card = json.loads(Path("models/c0/model.json").read_text())
    assert card["scores"]["accuracy"]["how"] == "kfold:3" if "accuracy" in card["scores"] else True
    compared = adapt("source", customers, out="others", compare=True)
    assert None not in {row["verdict"] for row in compared["tasks"]}
    assert [row["value"] for row in compared["tasks"]] == [row["value"] for row in result["tasks"]]


def test_without_folds_there_is_a_model_and_no_score(customers: Path) -> None:
    result = adapt("source", customers, out="models", folds=0)
    assert (result["adapted"], result["mean"]) == (3, None)
    one = adapt("source", "customers/c1", out="alone", folds=0)
    assert one["score"]["value"] is None
    assert one["score"]["why"] == "--folds 0 holds nothing out"
    inputs = sorted(Path("customers/c1").rglob("*.png"))
    scored = adapt("source", "customers/c1", out="scored")
    assert scored["score"]["value"] is not None
    bare, known = (
        [row["prediction"] for row in predict(name, inputs)["rows"]] for name in ("alone", "scored")
    )
    assert bare == known


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"folds": 1}, "2 or more, or 0 for no score"),
        ({"folds": 0, "holdout": 0.3}, "holds nothing out, and --holdout"),
        ({"folds": 0, "fail_under": ["accuracy=0.5"]}, "a check needs a score"),
        ({"folds": 0, "fail_if": ["guessing"]}, "a check needs a score"),
    ],
)
def test_what_needs_folds_is_refused_without(
    asked: dict[str, object], said: str, customers: Path
) -> None:
    with pytest.raises(UsageProblem, match=said):
        adapt("source", "customers/c1", out="models", **asked)
    with pytest.raises(UsageProblem, match="chosen by what is measured"):
        adapt(None, "customers/c1", out="models", folds=0)


def test_a_task_that_fails_is_named_and_the_rest_are_kept(customers: Path) -> None:
    (customers / "c1" / "dog" / "broken.png").write_bytes(b"no image")
    with pytest.raises(DataError, match="1 of 3 tasks could not be adapted") as caught:
        adapt("source", customers, out="models")
    assert [finding.message.split(":")[0] for finding in caught.value.findings] == ["c1"]
    result = caught.value.result
    assert [row["status"] for row in result["tasks"]] == ["adapted", "failed", "adapted"]
    assert not Path("models/c1").exists()
    (customers / "c1" / "dog" / "broken.png").unlink()
    with pytest.raises(BundleError, match="not empty") as refused:
        adapt("source", customers, out="models")
    assert (refused.value.hint or "").startswith("--new-only")
    before = Path("models/c0/model.json").stat().st_mtime_ns
    again = adapt("source", customers, out="models", new_only=True)
    assert [row["status"] for row in again["tasks"]] == ["kept", "adapted", "kept"]
    assert Path("models/c0/model.json").stat().st_mtime_ns == before


def test_a_model_that_cannot_be_written_fails_its_task_and_a_full_disk_ends_all(
    customers: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("models/c1").mkdir(parents=True)
    Path("models/c1/notes.txt").write_text("mine")
    with pytest.raises(DataError, match="1 of 3 tasks could not be adapted") as caught:
        adapt("source", customers, out="models", force=True)
    rows = caught.value.result["tasks"]
    assert [row["status"] for row in rows] == ["adapted", "failed", "adapted"]
    assert "c1" in caught.value.findings[0].message
    assert [one.name for one in Path("models/c1").iterdir()] == ["notes.txt"]

    def full(path: Path, data: bytes) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("metacli.engine.storage.writer.write_new", full)
    with pytest.raises(RunFailed, match="space"):
        adapt("source", customers, out="others")
    assert not list(Path("others").iterdir())


def test_of_two_tasks_of_one_name_the_second_is_refused(tmp_path: Path) -> None:
    (tmp_path / "towns").mkdir()
    rows = "".join(f"{n % 5},{n % 7},{'ab'[n % 2]}\n" for n in range(12))
    for name, separator in (("c.csv", ","), ("c.tsv", "\t")):
        text = f"u,v,label\n{rows}".replace(",", separator)
        (tmp_path / "towns" / name).write_text(text)
    with pytest.raises(DataError, match="1 of 2 tasks could not be adapted") as caught:
        adapt("columns", tmp_path / "towns", out="models")
    assert [row["status"] for row in caught.value.result["tasks"]] == ["adapted", "failed"]


def test_a_table_that_cannot_be_read_is_a_task_that_fails(tmp_path: Path) -> None:
    (tmp_path / "towns").mkdir()
    rows = "".join(f"{n % 5},{n % 7},{'ab'[n % 2]}\n" for n in range(12))
    for name, more in (("broken", "1,2\n"), ("c", ""), ("d", "")):
        (tmp_path / "towns" / f"{name}.csv").write_text(f"u,v,label\n{rows}{more}")
    with pytest.raises(DataError, match="1 of 3 tasks could not be adapted") as caught:
        adapt("columns", tmp_path / "towns", out="models")
    assert {row["name"]: row["status"] for row in caught.value.result["tasks"]} == {
        "c": "adapted",
        "d": "adapted",
        "broken": "failed",
    }
    assert "row 14 of broken.csv" in caught.value.findings[0].message


def test_a_folder_that_is_no_task_is_named_too(customers: Path) -> None:
    (customers / "c3").mkdir()
    with pytest.raises(DataError, match="1 of 4 tasks could not be adapted") as caught:
        adapt("source", customers, out="models")
    assert [finding.message.split(":")[0] for finding in caught.value.findings] == ["c3"]


def test_checks_look_at_the_worst_task(customers: Path) -> None:
    values = [row["value"] for row in adapt("source", customers, out="models")["tasks"]]
    worst = min(values)
    adapt("source", customers, out="models", force=True, fail_under=[f"accuracy={worst}"])
    above = [f"accuracy={worst + 0.01}"] if worst < 0.99 else ["accuracy_high=1"]
    with pytest.raises(CheckFailed, match="accuracy"):
        adapt("source", customers, out="models", force=True, fail_under=above)
    with pytest.raises(CheckFailed, match="accuracy_low is"):
        adapt("source", customers, out="models", force=True, fail_under=["accuracy_low=0.99"])


def test_a_dry_run_writes_nothing(customers: Path) -> None:
    result = adapt("source", customers, out="models", dry_run=True)
    assert (result["model"], len(result["tasks"])) == (None, 3)
    assert not Path("models").exists()


def test_people_see_the_worst_first(customers: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["adapt", "source", str(customers), "-o", "models"]) == 0
    out = capsys.readouterr().out
    assert "3 adapted" in out
    assert "next: metacli evaluate models LABELLED_TASKS" in out
    shown = [line.split()[0] for line in out.splitlines() if line.startswith("c")]
    assert sorted(shown) == ["c0", "c1", "c2"]


def row(number: int, delta: float | None) -> TaskRow:
    path = Path(f"c{number}")
    return TaskRow(path.name, path, path, "adapted", "accuracy", 0.8, verdict=None, delta=delta)


def test_a_mean_over_new_tasks_says_that_the_kept_ones_are_not_in_it(
    customers: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    adapt("source", customers / "c1", out="models/c1")
    assert main(["adapt", "source", "customers", "-o", "models", "--new-only", "--compare"]) == 0
    shown = capsys.readouterr().out
    assert "tasks     2 adapted, 1 kept\n" in shown
    assert " over 2 new tasks alone, without the 1 kept; worst c" in shown
    assert " over 2 new tasks, against the best of each" in shown
    shutil.rmtree("models/c2")
    assert main(["adapt", "source", "customers", "-o", "models", "--new-only"]) == 0
    assert " over 1 new task alone, without the 2 kept\n" in capsys.readouterr().out


def test_what_each_task_is_too_small_to_show_all_of_them_may() -> None:
    deltas = [0.02, 0.05, -0.01, 0.03, 0.04, 0.0, 0.06, 0.02, 0.03, 0.05]
    found = transfer_over([*(row(n, one) for n, one in enumerate(deltas)), row(10, None)])
    assert found is not None
    wanted = stats.ttest_1samp(deltas, 0.0)
    low, high = wanted.confidence_interval(0.95)
    assert (found.tasks, found.found.verdict) == (10, "helped")
    assert found.found.delta == pytest.approx(np.mean(deltas))
    assert [found.found.low, found.found.high] == pytest.approx([low, high])
    assert found.as_dict()["tasks"] == 10
    nine = transfer_over([row(n, one) for n, one in enumerate(deltas[:9])])
    assert nine is not None
    assert nine.found.verdict == "too_few_to_say"
    assert transfer_over([row(0, 0.1), row(1, None)]) is None


def test_the_verdict_over_a_folder_is_shown_where_tasks_are_compared(
    customers: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["adapt", "source", str(customers), "-o", "models", "--compare"]) == 0
    out = capsys.readouterr().out
    assert "over 3 tasks, against the best of each that needs no source" in out
    assert "95 % interval" in out
    result = adapt("source", customers, out="others", compare=True)
    deltas = [row["delta"] for row in result["tasks"]]
    assert result["transfer"]["delta"] == pytest.approx(np.mean(deltas))
    assert result["transfer"]["verdict"] == "too_few_to_say"
    assert "transfer" not in adapt("source", customers, out="plain")


def test_a_stopped_folder_of_tasks_says_how_many_models_there_are_and_how_to_go_on(
    customers: Path,
) -> None:
    said: list[Notice] = []

    def stop(event: object) -> None:
        if isinstance(event, Notice):
            said.append(event)
        if isinstance(event, Progress) and event.unit == "tasks" and event.done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        adapt("source", customers, report=stop)
    (folder,) = Path("runs/adapted/customers").iterdir()
    words = f"-o {folder.absolute()} --new-only makes the others"
    assert f"2 of 3 models are made; the same command with {words}" in [one.message for one in said]
    again = adapt("source", customers, out=folder, new_only=True)
    assert sorted(row["status"] for row in again["tasks"]) == ["adapted", "kept", "kept"]


def test_inspect_of_a_folder_of_models_takes_it_for_no_task(customers: Path) -> None:
    adapt("source", customers, out="models")
    found = inspect("models")
    assert (found.what, found.valid, found["details"]["models"]) == ("models", True, 3)
    assert found.next == ("metacli evaluate models LABELLED_TASKS",)
    Path("models/c1/weights.safetensors").write_bytes(b"")
    assert not inspect("models").valid
