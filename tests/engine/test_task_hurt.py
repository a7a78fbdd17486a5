"""Negative transfer where it is certain: tasks that are related to none, in a trunk too narrow for
all of them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from metacli.engine.evaluate import evaluate
from metacli.engine.multitask import multitask
from metacli.engine.scoring import multi_task_baselines as task_baselines
from metacli.engine.scoring.multi_task_evaluate import judged
from metacli.engine.training.multi_task.guard import Decision, compared_with_others

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
@pytest.mark.slow
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


def test_what_rounding_makes_is_no_verdict():
    rng = np.random.default_rng(0)
    y = [rng.normal(size=2000) for _ in range(3)]
    alone = [one + rng.normal(size=2000) for one in y]
    off = [a + scale * (b - a) for a, b, scale in zip(alone, y, (1e-5, 1e-2, -1e-2), strict=True)]
    tasks = judged("nmse", ("digits", "better", "worse"), y, off, alone)
    assert tasks[0].delta_ci95[1] < 0  # each row is nearer by the same tiny share
    assert [task.verdict for task in tasks] == ["no_difference", "helped", "hurt"]


def test_one_lucky_task_among_many_that_lose_does_not_share():
    lucky = Decision(True, 0.10, 0.06)
    losers = [Decision(False, -0.06 - 0.01 * k, 0.06) for k in range(9)]
    assert not compared_with_others([lucky, *losers])[0].shares
    # Where the others gain as well, or there are no others to learn from, it does.
    winners = [Decision(gain > 0.06, gain, 0.06) for gain in np.linspace(0.02, 0.16, 9)]
    found = compared_with_others([lucky, *winners])
    assert [one.shares for one in found] == [one.shares for one in (lucky, *winners)]
    assert compared_with_others([lucky, *losers[:2]])[0].shares


def test_gains_that_really_differ_are_believed():
    """τ is large: what the others lose says little of a task that gains ten errors."""
    apart = [Decision(k % 2 == 0, 0.6 if k % 2 == 0 else -0.6, 0.06) for k in range(10)]
    assert [one.shares for one in compared_with_others(apart)] == [True, False] * 5


def test_tasks_without_a_gain_are_left_out_and_stay_alone():
    nan = Decision(False, float("nan"), float("nan"))
    lucky = Decision(True, 0.10, 0.06)
    losers = [Decision(False, -0.06 - 0.01 * k, 0.06) for k in range(9)]
    found = compared_with_others([nan, lucky, *losers])
    assert not any(one.shares for one in found)
