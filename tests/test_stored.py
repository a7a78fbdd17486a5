"""Models and runs that an earlier metacli wrote load, resume and answer as they did then.

`tests/fixtures/make.py` made them. They are never made again: a change that moves an answer here
changes what users get from models that they have kept.
"""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import contract
import numpy as np
import pytest
import torch
from fixtures import make

from metacli.engine.adapt import adapt
from metacli.engine.evaluate import evaluate
from metacli.engine.events import ignore
from metacli.engine.export import export
from metacli.engine.meta_train import meta_train
from metacli.engine.models.opening import open_model
from metacli.engine.multitask import multitask
from metacli.engine.predict import predict
from metacli.engine.training import journal
from metacli.errors import BundleError

pytestmark = pytest.mark.usefixtures("one_thread", "place")
STORED = Path(__file__).parent / "fixtures"
ANSWERS = {path.stem: path for path in sorted((STORED / "models").glob("*.json"))}
NAMES = [name for name in ANSWERS if not name.endswith(".exported")]
UNADAPTED = [name for name in NAMES if "task" in json.loads(ANSWERS[name].read_text())]
NO_COLUMNS = "hard-numbers-before-labels"  # its makers could not predict rows yet
OF_FLOAT32 = 2e-5  # in probability; relative to the unit, of a number


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cache: Path) -> None:
    """An empty folder beside the users' files, whose paths are in the answers."""
    monkeypatch.chdir(tmp_path)
    shutil.copytree(STORED / "data", "data")


def stored(name: str) -> str:
    """A model's folder; of a packed one a copy."""
    packed = STORED / "models" / f"{name}.zip"
    if packed.is_file():
        shutil.unpack_archive(packed, name)
        return name
    return str(STORED / "models" / name)


def numbers(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Every leaf of plain values by its path."""
    items = value.items() if isinstance(value, dict) else enumerate(value)
    for key, item in items:
        name = f"{path}.{key}"
        yield from numbers(item, name) if isinstance(item, dict | list) else [(name, item)]


def assert_same(found: Any, wanted: Any, rtol: float = OF_FLOAT32) -> None:
    """Every value that was written down is there and the same; there may be new ones. How an
    interval is made of episodes may change, and the scores themselves not."""
    now = dict(numbers(found))
    for name, value in numbers(wanted):
        if name.endswith(".ci95"):
            assert math.isfinite(now[name])
        elif isinstance(value, float):
            assert now[name] == pytest.approx(value, rel=rtol, abs=rtol), name
        else:
            assert now[name] == value, name


def test_there_is_one_of_every_kind() -> None:
    """Few-shot, adapted and multi-task models of images, tables and texts, a guarded one, and each
    transfer method; every folder has its answers and every answer its folder."""
    folders = {path.name.removesuffix(".zip") for path in (STORED / "models").iterdir()}
    assert {name for name in folders if not name.endswith(".json")} == {*NAMES, NO_COLUMNS}
    documents = [
        json.loads(path.read_text()) for path in sorted((STORED / "models").glob("*/model.json"))
    ]
    inputs = {(one["recipe"]["kind"], one["input"]["kind"]) for one in documents}
    assert inputs >= {("meta", "image"), ("meta", "text"), ("meta", "numbers")}
    methods = {one["method"] for one in documents}
    assert methods >= {"native", "prototype", "linear-probe", "fine-tune", "lp-ft", "l2-sp", None}
    assert any(one["answers"].get("guard") for one in documents)
    assert {one["format"] for one in documents} == {1}
    assert len(UNADAPTED) >= 4


@pytest.mark.parametrize("name", NAMES)
def test_a_stored_model_answers_as_it_did(name: str) -> None:
    answers, model = json.loads(ANSWERS[name].read_text()), stored(name)
    if name in UNADAPTED:
        task = f"data/{answers['task']}"
        result = adapt(model, task, answers["words"], out="mine", device="cpu")
        assert contract.result_keys("adapt") <= set(result)
        model = "mine"
    result = predict(model, f"data/{answers['inputs']}", device="cpu")
    assert contract.result_keys("predict") <= set(result)
    found = result["rows"]
    assert len(found) == len(answers["rows"])
    assert_same(found, answers["rows"], 1e-3 if name in UNADAPTED else OF_FLOAT32)


def test_a_multi_task_model_without_names_of_columns_loads_and_says_what_it_lacks() -> None:
    opened = open_model(stored(NO_COLUMNS), torch.device("cpu"), ignore)
    assert opened.model.kind == "tasks"
    with pytest.raises(BundleError, match="before models recorded their columns"):
        predict(stored(NO_COLUMNS), "data/new-families.csv", device="cpu")
    with pytest.raises(BundleError, match="before models recorded their columns"):
        export(stored(NO_COLUMNS), out="tasks.pt2")


SLOW = ("adapted-images", "hard-numbers", "protonet-images")


@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=pytest.mark.slow if name in SLOW else ()) for name in make.EXPORTS],
)
def test_the_exported_file_of_a_stored_model_answers_as_it_did(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(make, "HERE", STORED)
    found = make.exported(name, Path())
    wanted = json.loads(ANSWERS[f"{name}.exported"].read_text())
    for one, values in zip(found, wanted, strict=True):
        np.testing.assert_allclose(one, values, rtol=OF_FLOAT32, atol=OF_FLOAT32)


DIGEST_OF_TASKS = "a67904508b4c72c4dfe2e6d63c45b9356ba80a61ecf31777f77d7191c8411dc9"


def resumable(name: str) -> Path:
    """A copy of a stopped run. What `--resume` compares, so that bits are the same, is said to be
    as it is here: the versions of Python and torch, and the digest of generated tasks, which was
    one of their bits until these turned out to differ between processors."""
    run = Path(shutil.copytree(STORED / "stopped" / name, "run"))
    facts = json.loads((run / "run.json").read_text())
    facts["versions"] = journal.versions()
    if name == "tasks":
        facts["data_digest"] = facts["val_digest"] = DIGEST_OF_TASKS
    (run / "run.json").write_text(json.dumps(facts))
    return run


@pytest.mark.parametrize("name", ["waves", "tasks"])
def test_a_stored_run_resumes_to_what_it_became(name: str) -> None:
    run = resumable(name)
    wanted = json.loads((STORED / "stopped" / f"{name}.json").read_text())
    verb = meta_train if name == "waves" else multitask
    result = verb(resume=str(run), overrides=["train.steps=8"], device="cpu")
    assert (result["status"], result["steps"]) == ("finished", 8)
    assert contract.result_keys("meta-train" if name == "waves" else "multitask") <= set(result)
    assert_same(result["metrics"], wanted["metrics"], 1e-4)
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    assert len(lines) == len(wanted["lines"])
    assert_same(lines, wanted["lines"], 1e-4)
    scored = evaluate(str(run), force=True, device="cpu")
    assert math.isclose(scored["mean"], wanted["mean"], rel_tol=1e-4)
    assert contract.result_keys("evaluate") <= set(scored)
