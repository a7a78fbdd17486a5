"""What is done with a model of dense tasks after its training: `inspect`, `predict`, `export`."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from metacli.engine.inspect import inspect
from metacli.engine.multitask import multitask
from metacli.nn.dense.targets import TASKS

pytestmark = pytest.mark.usefixtures("workplace")
SMALL = (
    *("data.size=16", "data.images=12", "data.val=4", "data.test=6", "data.rows=2"),
    *("backbone.widths=[8,8]", "train.steps=2", "evaluate.every=1"),
)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A run of two steps, which each test copies."""
    folder = tmp_path_factory.mktemp("dense") / "run"
    multitask("scenes-hard", SMALL, out=folder)
    yield folder


@pytest.fixture
def run(trained: Path) -> Path:
    shutil.copytree(trained, "run")
    return Path("run")


def test_inspect_knows_a_run_and_a_model_and_what_they_are_good_for(run: Path) -> None:
    found = inspect(run)
    assert (found.what, found.valid, found.problems) == ("run", True, ())
    assert found.details["status"] == "finished"
    assert found.details["model"] == str(run.absolute() / "model")
    assert found.details["seconds"] > 0
    assert found.next == (
        "metacli evaluate run",
        "metacli predict run IMAGES -o MAPS",
        "metacli report run",
        "metacli export run",
    )
    model = inspect(run / "model")
    assert (model.what, model.valid) == ("model of dense tasks", True)
    assert model.details["tasks"] == list(TASKS)
    assert model.details["input"]["shape"] == [3, 16, 16]
    assert model.details["scores"]["val_loss"]["mean"] == found.details["best"]["mean"]
    assert model.details["provenance"]["recipe"] == "scenes-hard"
    alone = inspect(run / "baselines" / "single-task")
    assert (alone.valid, alone.details["sharing"]) == (True, "apart")
    assert alone.details["numbers"] > model.details["numbers"]


def test_inspect_says_how_to_go_on_with_a_run_that_has_not_ended(run: Path) -> None:
    facts = json.loads((run / "run.json").read_text())
    del facts["sha256"]
    (run / "run.json").write_text(json.dumps({**facts, "status": "interrupted", "steps": 1}))
    assert inspect(run).next[0] == "metacli multitask --resume run"


def test_inspect_says_what_is_damaged(run: Path) -> None:
    file = run / "model" / "weights.safetensors"
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(bytes(content))
    for path in (run, run / "model"):
        found = inspect(path)
        assert not found.valid
        assert "checksum" in found.problems[0].message
