"""`adapt MODEL FOLDER_OF_TASKS`: a model and a row for each; failures are named, the rest kept."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from tiny_models import saved, tiny_model, write_classes

from metacli.cli.app import main
from metacli.engine.adapt import adapt
from metacli.engine.predict import predict
from metacli.errors import CheckFailed, DataError

pytestmark = pytest.mark.usefixtures("workplace", "one_thread")


@pytest.fixture
def customers() -> Path:
    for number in range(3):
        write_classes(Path(f"customers/c{number}"), {"dog": 4, "cat": 4}, seed=number)
    saved(tiny_model(), Path("source"))
    return Path("customers")


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


def test_a_task_that_fails_is_named_and_the_rest_are_kept(customers: Path) -> None:
    (customers / "c1" / "dog" / "broken.png").write_bytes(b"no image")
    with pytest.raises(DataError, match="1 of 3 tasks could not be adapted") as caught:
        adapt("source", customers, out="models")
    assert [finding.message.split(":")[0] for finding in caught.value.findings] == ["c1"]
    result = caught.value.result
    assert [row["status"] for row in result["tasks"]] == ["adapted", "failed", "adapted"]
    assert not Path("models/c1").exists()
    (customers / "c1" / "dog" / "broken.png").unlink()
    before = Path("models/c0/model.json").stat().st_mtime_ns
    again = adapt("source", customers, out="models", new_only=True)
    assert [row["status"] for row in again["tasks"]] == ["kept", "adapted", "kept"]
    assert Path("models/c0/model.json").stat().st_mtime_ns == before


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
