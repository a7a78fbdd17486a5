"""Negative transfer where it is certain: tasks that are related to none, in a trunk too narrow for
all of them."""

from __future__ import annotations

from pathlib import Path

import pytest

from metacli.engine import task_baselines
from metacli.engine.evaluate import evaluate
from metacli.engine.multitask import multitask

pytestmark = pytest.mark.usefixtures("one_thread")

RECIPE = """
version: 1
kind: multitask
seed: 0
data: {source: task-families, groups: 0, unrelated: 6, size: 80, test_rows: 400}
backbone: {name: mlp, hidden: [3]}
sharing: {name: hard}
weighting: {name: equal}
train: {steps: 60, lr: 0.03}
evaluate: {every: 20}
"""


@pytest.mark.parametrize("guard", [False, True], ids=["together", "guarded"])
def test_unrelated_tasks_are_hurt_unless_they_are_guarded(
    guard, tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(task_baselines, "suited", lambda table: ())
    Path("unrelated.yaml").write_text(RECIPE)
    multitask("unrelated.yaml", [f"guard={str(guard).lower()}"], out="run")
    tasks = evaluate("run")["tasks"]
    assert [task["verdict"] for task in tasks] == ["no_difference" if guard else "hurt"] * 6
    assert all(task["delta"] == 0 if guard else task["delta"] > 0.1 for task in tasks)
