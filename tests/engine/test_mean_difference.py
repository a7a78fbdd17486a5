"""The mean difference to the single-task models: over splits of the rows, or over the tasks."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from metacli.cli.app import main
from metacli.engine.evaluate import evaluate
from metacli.engine.multitask import multitask
from metacli.engine.scoring.intervals import nadeau_bengio, paired

pytestmark = pytest.mark.usefixtures("one_thread")

RECIPE = """
version: 1
kind: multitask
seed: 0
data: {source: task-families, groups: 1, tasks: 3, unrelated: 1, size: 48}
backbone: {name: mlp, hidden: [8]}
sharing: {name: hard}
weighting: {name: equal}
train: {steps: 10, lr: 0.01}
evaluate: {every: 10}
"""


@pytest.fixture(autouse=True)
def place(tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from metacli.engine.scoring import multi_task_baselines as task_baselines

    monkeypatch.setattr(task_baselines, "suited", lambda table: iter(()))
    monkeypatch.chdir(tmp_path)
    Path("tiny.yaml").write_text(RECIPE)


def on_split(seed: int, *more: str, out: str) -> dict:
    multitask("tiny.yaml", [f"data.split_seed={seed}", *more], out=out)
    return evaluate(out)


def deltas(result: dict) -> list[float]:
    return [task["delta"] for task in result["tasks"]]


def test_one_run_has_an_interval_over_its_tasks_and_a_image_of_them(capsys):
    result = on_split(0, out="runs/a")
    delta, low, high = paired(np.array(deltas(result)))
    assert result["mean_delta"] == pytest.approx(delta)
    assert result["mean_delta_ci95"] == pytest.approx([low, high])
    assert result["mean_delta_over"] == "4 tasks"
    drawn = Path(result["plot"])
    assert drawn == Path("runs/a/plots/deltas-test.svg").absolute()
    assert "on test rows" in drawn.read_text()
    assert main(["evaluate", "runs/a"]) == 0
    told = capsys.readouterr().out
    metric = result["tasks"][0]["metric"]
    ends = f"({low:+.3g} to {high:+.3g})"
    assert f"mean difference of {metric} over 4 tasks: {delta:+.3g} {ends} (test)" in told


@pytest.mark.slow
def test_with_runs_of_other_splits_beside_it_the_interval_is_over_splits():
    means = [np.mean(deltas(on_split(seed, out=f"runs/{seed}"))) for seed in range(3)]
    # Neither another recipe nor another seed of the same split is one more split.
    on_split(3, "train.lr=0.02", out="runs/other")
    means[0] = np.mean([means[0], np.mean(deltas(on_split(0, "seed=1", out="runs/again")))])
    result = evaluate("runs/1")
    rows = 48
    test = round(0.25 * rows)
    delta, low, high = nadeau_bengio(np.array(means), test / (rows - test))
    assert result["mean_delta_over"] == "3 splits of the rows"
    assert result["mean_delta"] == pytest.approx(delta)
    assert result["mean_delta_ci95"] == pytest.approx([low, high])


def test_two_splits_are_too_few_and_a_damaged_neighbour_is_named():
    on_split(0, out="runs/0")
    Path("runs/bad").mkdir()
    Path("runs/bad/scores.jsonl").write_text("{")
    multitask("tiny.yaml", ["data.split_seed=1"], out="runs/1")
    seen: list = []
    result = evaluate("runs/1", report=seen.append)
    assert result["mean_delta_over"] == "4 tasks"
    assert "scores.damaged" in [getattr(event, "code", "") for event in seen]


def test_a_neighbour_of_another_kind_whose_tasks_have_no_difference_is_passed_over():
    on_split(0, out="runs/0")
    line = json.loads(Path("runs/0/scores.jsonl").read_text())
    line["trained"] = "0" * 32
    line["result"]["tasks"] = [{"name": "a", "metric": "accuracy", "value": 0.5}]
    Path("runs/grasps").mkdir()
    Path("runs/grasps/scores.jsonl").write_text(json.dumps(line) + "\n")
    seen: list = []
    assert evaluate("runs/0", report=seen.append)["mean_delta_over"] == "4 tasks"
    assert not [event for event in seen if "scores" in getattr(event, "code", "")]


def test_a_training_run_says_the_mean_over_its_tasks_on_validation():
    result = multitask("tiny.yaml", out="runs/a")
    delta, low, high = paired(np.array(deltas(result)))
    assert result["mean_delta"] == pytest.approx(delta)
    assert result["mean_delta_ci95"] == pytest.approx([low, high])
    assert json.loads(Path("runs/a/tasks.json").read_text())["mean_delta_over"] == "4 tasks"
