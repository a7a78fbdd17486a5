"""*Where to add what* of metacli/README.md is true: a weighting, a data set, a set of tasks and a
command are added with the files and the line that the page names, and every command knows them.
Learners: tests/cli/test_new_learner.py; plug-ins: tests/engine/test_plugins.py."""

from __future__ import annotations

import importlib
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

import metacli.algorithms.multitask.weighting
import metacli.data.catalogue
from metacli.algorithms import ALGORITHMS, Entry
from metacli.cli.app import main
from metacli.data.catalogue.entries import DataSet
from metacli.data.catalogue.registry import DATASETS

pytestmark = pytest.mark.usefixtures("one_thread")
HEAD = "from __future__ import annotations\n\nfrom dataclasses import dataclass\n\n"
LARGEST = """from metacli.algorithms.multitask.balancing import Weighting


@dataclass(frozen=True, kw_only=True)
class Largest(Weighting):
    def objective(self, losses, norms, params, state, rng):
        return losses.max(), state
"""
STRIPES = '''import numpy as np

from metacli.data.few_shot.pools import make_pool


@dataclass(frozen=True)
class Options:
    """Args: seed: of the pixels."""

    seed: int = 0


def pool(split, options, cache, report):
    """Eight classes, each of six images of its own grey."""
    first = {"train": 0, "val": 100, "test": 200}[split]
    grey = np.repeat(first + 5 * np.arange(8, dtype=np.uint8), 6)
    noise = np.random.default_rng(options.seed).integers(0, 3, (48, 1, 28, 28), dtype=np.uint8)
    return make_pool(
        name="greys",
        split=split,
        scheme=None,
        classes=[f"{split}{number}" for number in range(8)],
        rows=np.arange(48).reshape(8, 6),
        store=grey[:, None, None, None] + noise,
        contents=f"greys {options.seed}",
    )
'''
SLOPES = """import numpy as np

from metacli.data.multi_task.dataset import MultiTaskData
from metacli.data.catalogue.multi_task_sets import MultiTaskOptions


def slopes(options, cache, report):
    rng = np.random.default_rng(0)
    x = tuple(rng.standard_normal((40, 2)) for _ in range(3))
    return MultiTaskData(
        name="slopes",
        tasks=("a", "b", "c"),
        x=x,
        y=tuple(one @ (1.0, 0.5) + 0.1 * rng.standard_normal(40) for one in x),
        kinds=("regression",) * 3,
        metric="nmse",
        contents="slopes 1",
    )
"""
MULTI_TASK = """version: 1
kind: multitask
data: {source: SOURCE}
backbone: {name: mlp, hidden: [8]}
sharing: {name: hard}
weighting: {name: WEIGHTING}
train: {steps: 3}
evaluate: {every: 3}
"""
FEW_SHOT = """version: 1
kind: meta
data: {source: greys}
episodes: {way: 3, shot: 1, query: 2}
backbone: {name: conv4, width: 4, norm: group}
algorithm: {name: protonet}
train: {steps: 2, meta_batch: 2}
evaluate: {every: 2, episodes: 3}
"""


@pytest.fixture
def beside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cache: Any) -> Any:
    """Writes a file that is a module of one of the project's folders."""
    monkeypatch.chdir(tmp_path)

    def write(package: Any, name: str, text: str) -> str:
        folder = tmp_path / f"more-{name}"
        folder.mkdir()
        (folder / f"{name}.py").write_text(HEAD + text)
        monkeypatch.setattr(package, "__path__", [*package.__path__, str(folder)])
        return f"{package.__name__}.{name}"

    return write


def result(capsys: pytest.CaptureFixture[str], *words: str) -> dict[str, Any]:
    assert main([*words, "--json"]) == 0, capsys.readouterr().err
    found: dict[str, Any] = json.loads(capsys.readouterr().out)["result"]
    return found


@pytest.mark.slow
def test_a_weighting_is_a_file_and_a_line(
    beside: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    beside(metacli.algorithms.multitask.weighting, "largest", LARGEST)
    line = Entry("multitask", "multitask.weighting.largest", "Largest", "the largest loss")
    monkeypatch.setitem(ALGORITHMS, "largest", line)
    text = MULTI_TASK.replace("SOURCE", "task-families").replace("WEIGHTING", "largest")
    Path("mine.yaml").write_text(text)
    assert result(capsys, "multitask", "mine.yaml", "-o", "run")["steps"] == 3
    losses = torch.tensor([1.0, 3.0, 2.0])
    assert float(getattr(metacli, "Largest")()(losses).loss) == 3.0  # noqa: B009


def test_a_data_set_is_a_file_and_an_entry(
    beside: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    module = beside(metacli.data.catalogue, "greys", STRIPES)
    options = vars(importlib.import_module(module))["Options"]
    entry = DataSet(
        name="greys",
        kind="images",
        loader=f"{module}:pool",
        builder="",
        options=options,
        archives=(),
        citation="none",
        licence="none",
        splits="eight classes each",
        summary="greys",
    )
    monkeypatch.setitem(DATASETS, "greys", entry)
    Path("mine.yaml").write_text(FEW_SHOT)
    assert result(capsys, "meta-train", "mine.yaml", "-o", "run")["steps"] == 2
    score = result(capsys, "evaluate", "run", "--episodes", "3")
    assert (score["metric"], score["split"]) == ("accuracy", "test")
    found = result(capsys, "sample", "greys", "classes", "--way", "2", "--shot", "1")
    assert len(list(Path("classes").rglob("*.png"))) >= 2, found
    assert main(["meta-train", "mine.yaml", "data.sead=1", "-n"]) == 3
    assert "seed" in capsys.readouterr().err


def test_a_set_of_tasks_is_a_function_and_an_entry(
    beside: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    module = beside(metacli.data.catalogue, "slopes_of_tasks", SLOPES)
    entry = DataSet(
        name="slopes",
        kind="tasks",
        loader=f"{module}:slopes",
        builder="",
        options=DATASETS["school"].options,
        archives=(),
        citation="none",
        licence="none",
        splits="drawn",
        summary="slopes",
    )
    monkeypatch.setitem(DATASETS, "slopes", entry)
    text = MULTI_TASK.replace("SOURCE", "slopes").replace("WEIGHTING", "equal")
    Path("mine.yaml").write_text(text)
    assert result(capsys, "multitask", "mine.yaml", "-o", "run")["steps"] == 3
    assert len(result(capsys, "evaluate", "run")["tasks"]) == 3


COMMAND = '''"""`metacli greet`."""

from __future__ import annotations

from metacli.cli.frame import Frame
from metacli.engine.greet import greet as greeted


def greet(frame: Frame, name: str = "you") -> None:
    """Greet somebody."""
    frame.answer(lambda report: greeted(name), lambda found: [found["words"]], str)
'''
VERB = '''"""`greet`."""


def greet(name: str) -> dict[str, str]:
    return {"words": f"hello {name}"}
'''


def test_a_command_is_two_files_and_a_line(tmp_path: Path) -> None:
    source = Path(metacli.__file__).parent
    copy = tmp_path / "copy" / "metacli"
    shutil.copytree(source, copy, ignore=shutil.ignore_patterns("__pycache__"))
    (copy / "engine" / "greet.py").write_text(VERB)
    (copy / "cli" / "greet.py").write_text(COMMAND)
    app = copy / "cli" / "app.py"
    text = app.read_text()
    text = text.replace("    fetch,\n", "    fetch,\n    greet,\n", 1)  # its import
    line = '    "greet": ("Start", greet.greet),\n'
    app.write_text(re.sub(r"(COMMANDS: .*\n)", r"\1" + line, text, count=1))

    def run(*words: str) -> str:
        return subprocess.run(
            [sys.executable, "-P", "-m", "metacli", *words],
            env={**os.environ, "PYTHONPATH": str(copy.parent)},
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=True,
            timeout=60,
        ).stdout

    assert json.loads(run("greet", "--name", "Ada", "--json"))["result"] == {"words": "hello Ada"}
    assert "Greet somebody." in run("--help")
