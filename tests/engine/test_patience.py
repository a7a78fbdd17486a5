"""A run whose validation gets worse says so, and with `train.patience` ends there."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path

import pytest
import small_runs
from small_runs import facts, trained

from metacli.engine.events import Event, Notice
from metacli.engine.meta_train import meta_train
from metacli.engine.scoring.intervals import Estimate
from metacli.engine.training.few_shot.run import FewShotRun
from metacli.engine.training.keeper import is_worse
from metacli.engine.training.runs import Validation

pytestmark = pytest.mark.usefixtures("workplace")
EVERY_STEP = ("train.steps=12", "evaluate.every=1")
RISES_THEN_FALLS = [0.5, 0.6, 0.7, 0.65, 0.6, 0.55, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5]


def validating(monkeypatch: pytest.MonkeyPatch, means: Sequence[float], ci95: float = 0.1) -> None:
    """Runs whose validation after each step is as given."""

    def validate(self: FewShotRun, snapshot: object, tick: object) -> Validation:
        return Validation(Estimate(means[snapshot.step - 1], ci95, 3))

    monkeypatch.setattr(FewShotRun, "validate", validate)


def said(events: Sequence[Event], code: str) -> list[str]:
    return [one.message for one in events if isinstance(one, Notice) and one.code == code]


def test_patience_ends_a_run_after_so_many_validations_without_a_better_one(monkeypatch) -> None:
    validating(monkeypatch, RISES_THEN_FALLS)
    events: list[Event] = []
    result = trained("run", *EVERY_STEP, "train.patience=2", report=events.append)
    assert (result["status"], result["steps"], result["best_step"]) == ("finished", 5, 3)
    assert said(events, "run.patience") == [
        "no better validation since step 3: ending after step 5 (train.patience)"
    ]
    assert facts("run/model", "model.json")["provenance"]["steps"] == 3


def test_a_run_without_patience_takes_all_of_its_steps(monkeypatch) -> None:
    validating(monkeypatch, RISES_THEN_FALLS)
    assert trained("run", *EVERY_STEP)["steps"] == 12
    assert facts("run")["settings"]["train"]["patience"] is None


def test_a_run_that_ran_out_of_patience_takes_no_step_when_it_is_resumed(monkeypatch) -> None:
    validating(monkeypatch, RISES_THEN_FALLS)
    trained("run", *EVERY_STEP, "train.patience=2")
    before = Path("run/metrics.jsonl").read_bytes()
    result = meta_train(resume="run")
    assert (result["status"], result["steps"]) == ("finished", 5)
    assert Path("run/metrics.jsonl").read_bytes() == before


def test_a_run_that_gets_worse_says_so_once(monkeypatch) -> None:
    validating(monkeypatch, RISES_THEN_FALLS)
    events: list[Event] = []
    trained("run", *EVERY_STEP, report=events.append)
    (message,) = said(events, "run.worsening")
    assert message == (
        "no better validation since step 3: accuracy was 0.7 and is 0.5, with 4 steps to go; the "
        "model is that of step 3. train.patience=5 would have ended it here"
    )
    state = json.loads(Path("run/state/step-12/state.json").read_text())["facts"]
    assert (state["waited"], state["warned"]) == (9, True)


def test_within_the_interval_a_validation_is_not_worse(monkeypatch) -> None:
    validating(monkeypatch, RISES_THEN_FALLS, ci95=0.3)
    events: list[Event] = []
    trained("run", *EVERY_STEP, report=events.append)
    assert said(events, "run.worsening") == []


@pytest.mark.parametrize(
    ("now", "ci95", "kind", "worse"),
    [
        (0.5, 0.1, "classification", True),
        (0.65, 0.1, "classification", False),
        (0.9, 0.1, "classification", False),
        (0.9, 0.1, "regression", True),
        (0.5, 0.1, "regression", False),
        (0.5, math.nan, "classification", False),
    ],
)
def test_worse_is_by_more_than_the_interval(now, ci95, kind, worse) -> None:
    assert is_worse(Estimate(now, ci95, 3), 0.7, kind) is worse


def test_patience_counts_validations(monkeypatch) -> None:
    with pytest.raises(Exception, match=r"train\.patience must be greater than or equal to 1"):
        trained("run", "train.patience=0")
    validating(monkeypatch, [0.5] * 12)
    assert trained("run", "evaluate.every=4", "train.patience=1")["steps"] == 8
    assert small_runs.lines("run")[-1]["step"] == 8
