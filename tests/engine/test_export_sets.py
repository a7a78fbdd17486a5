"""Models of sets as one file: an output for each task, and the in-context learner with its labels
as inputs."""

from __future__ import annotations

import runpy
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from test_export_example import run_alone
from tiny_sets import saved, set_model, table, user_set

from metacli.engine.adapt import adapt
from metacli.engine.export import export
from metacli.engine.exporting.exporters import run_pt2, to_pt2
from metacli.engine.exporting.graph_sets import (
    ReadTasks,
    SteppedTasks,
    across,
    adapted_set_graph,
    ends,
)
from metacli.engine.exporting.sets import answered, made_up
from metacli.engine.predict import predict
from metacli.engine.sets.adapting import adapt_to_set
from metacli.errors import CheckFailed, DataError

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def rows_of(lines: list[list[str]]) -> dict[tuple[str, str], list[float]]:
    """What an example printed, by row and task."""
    assert lines[0] == ["row", "task", "value", "low", "high"]
    return {(row, task): [float(one) for one in rest] for row, task, *rest in lines[1:]}


def printed(
    script: str,
    words: list[str],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> list[list[str]]:
    """Of an example that is run in this process."""
    monkeypatch.setattr(sys, "argv", [script, *words])
    capsys.readouterr()
    runpy.run_path(script, run_name="__main__")
    return [line.split("\t") for line in capsys.readouterr().out.splitlines()]


def require_predicted(shown: dict[tuple[str, str], list[float]], rows: str, tasks: int) -> None:
    """The same as `predict` of the model `mine` gives."""
    predicted = predict("mine", rows)["rows"]
    assert len(shown) == len(predicted)
    assert len({task for _, task in shown}) == tasks
    for row in predicted:
        key = (str(int(row["input"].rpartition(":")[2]) - 1), row["task"])
        wanted = [row["prediction"], row["low"], row["high"]]
        np.testing.assert_allclose(shown[key], wanted, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", ["mtnp", "coupled"])
def test_an_adapted_set_has_an_output_for_each_task_that_says_what_predict_says(
    name: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    adapt(saved(Path("model"), name), table(Path("set.csv")), out="mine")
    result = export("mine", out="mine.pt2")
    assert result["parity"]["max_abs"] <= 1e-5
    assert [one["task"] for one in result["outputs"]] == ["sine", "tanh", "gaussian"]
    assert result["inputs"][0]["columns"] == [{"name": "x", "values": None}]
    Path("new.csv").write_text("note,x\na,-1.5\nb,2\nc,0.25\n")
    Path("only.csv").write_text("x\n-1.5\n2\n0.25\n")
    shown = rows_of(printed("mine.pt2.example.py", ["new.csv"], capsys, monkeypatch))
    require_predicted(shown, "only.csv", 3)


@pytest.mark.slow
def test_an_in_context_learner_adapts_in_the_file_to_any_tasks_and_labels(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    model = saved(Path("model"))
    result = export(model, with_support=True, out="learner.pt2")
    assert result["parity"]["supports"] == [3, 12, 90]
    assert result["parity"]["max_abs"] <= 1e-5
    adapt(model, table(Path("set.csv"), rows=9), out="mine")
    Path("new.csv").write_text("x\n-2\n0.5\n")
    words = ["set.csv", "new.csv"]
    shown = rows_of(printed("learner.pt2.example.py", words, capsys, monkeypatch))
    require_predicted(shown, "new.csv", 3)
    readme = Path("learner.pt2.README.md").read_text()
    assert "up to 4096 labels of up to 64 tasks" in readme
    assert "0 sine, 1 tanh" in readme


@pytest.mark.slow
@pytest.mark.parametrize("name", ["mtnp", "coupled"])
def test_onnx_files_run_without_metacli(name: str) -> None:
    model = saved(Path("model"), name)
    adapt(model, table(Path("set.csv"), rows=9), out="mine")
    Path("new.csv").write_text("x\n-2\n0.5\n")
    export("mine", format="onnx", out="mine.onnx")
    require_predicted(rows_of(run_alone("mine.onnx.example.py", "new.csv")), "new.csv", 3)
    if name == "mtnp":
        export(model, format="onnx", with_support=True, out="learner.onnx")
        shown = run_alone("learner.onnx.example.py", "set.csv", "new.csv")
        require_predicted(rows_of(shown), "new.csv", 3)


@pytest.mark.parametrize("name", ["mtnp", "mmaml", "coupled"])
def test_a_guarded_task_is_exported_from_its_own_labels(name: str) -> None:
    adapted, _ = adapt_to_set(set_model(name), user_set())
    tasks = tuple(replace(one, joint=number != 1) for number, one in enumerate(adapted.tasks))
    guarded = replace(adapted, tasks=tasks)
    module = adapted_set_graph(guarded).module
    assert isinstance(module, ReadTasks if name == "mtnp" else SteppedTasks)
    x = torch.linspace(-3, 3, 5)[:, None]
    found = module(x)
    for task in range(3):
        source = adapted if task != 1 else guarded
        wanted = ends(source.predict(across(x, 3)))[task]
        torch.testing.assert_close(found[task], wanted, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", ["mmaml", "manil", "mcavia", "mreptile"])
def test_inner_steps_are_taken_before_and_not_in_the_file(name: str) -> None:
    adapted, _ = adapt_to_set(set_model(name), user_set())
    graph = adapted_set_graph(adapted)
    run = run_pt2(to_pt2(graph, {}))
    x = torch.linspace(-3, 3, 6)[:, None]
    wanted = ends(adapted.predict(across(x, 3))).numpy()
    np.testing.assert_allclose(np.stack(run(x.numpy())), wanted, rtol=1e-4, atol=1e-5)


def test_made_up_sets_are_answered_as_labels_of_their_own_tasks() -> None:
    model = set_model()
    x, y, owner, roles, asked = made_up(model, 2, 12, np.random.Generator(np.random.PCG64(0)))
    assert set(owner.tolist()) == {0, 1}
    first = answered(model, x, y, owner, roles, asked)
    order = np.arange(12)[::-1]
    again = answered(model, x[order], y[order], owner[order], roles, asked)
    np.testing.assert_allclose(first, again, rtol=1e-4, atol=1e-5)


@pytest.mark.slow
def test_what_cannot_be_exported_is_said_with_what_can() -> None:
    model, steps = saved(Path("model")), saved(Path("steps"), "coupled")
    with pytest.raises(DataError, match="not been adapted to a set") as caught:
        export(model)
    assert "--with-support" in str(caught.value.hint)
    with pytest.raises(DataError, match="coupled cannot be exported with its support: mtnp can"):
        export(steps, with_support=True)
    adapt(model, table(Path("set.csv")), out="mine")
    with pytest.raises(DataError, match="adapted already"):
        export("mine", with_support=True)
    with pytest.raises(CheckFailed, match="differs from PyTorch"):
        export("mine", tolerance=0.0)
    assert not Path("mine.pt2").exists()
