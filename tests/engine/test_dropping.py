"""A step that takes too long is dropped after a signal or the time limit; the state before it is
what is kept."""

from __future__ import annotations

import hashlib
import os
import signal
import time
from pathlib import Path

import pytest
import small_runs
from small_runs import facts, trained

from metacli.algorithms.meta.protonet import ProtoNet
from metacli.engine.meta_train import meta_train
from metacli.engine.training import checkpoint, dropping
from metacli.engine.training.dropping import Dropping, StepDropped
from metacli.errors import Interrupted, MetacliError, RunFailed

pytestmark = pytest.mark.usefixtures("workplace", "signals_heard")
SLOW_STEP = 3  # 0-based
USUAL = ProtoNet.direction


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dropping, "GRACE", 0.2)
    monkeypatch.setattr(dropping, "STUCK", 0.3)
    monkeypatch.setattr(dropping, "TICK", 0.02)


@pytest.fixture
def slow(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The fourth step sends a signal in its middle and would then take half a minute."""
    steps: list[int] = []

    def direction(self, *args, **kwargs):
        steps.append(len(steps))
        if len(steps) == SLOW_STEP + 1:
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(30)
        return USUAL(self, *args, **kwargs)

    monkeypatch.setattr(ProtoNet, "direction", direction)
    return steps


@pytest.mark.usefixtures("impatient")
def test_a_signal_within_a_long_step_drops_it_and_the_resumed_run_is_the_same(
    slow: list[int], finished: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    began = time.monotonic()
    with pytest.raises(Interrupted) as caught:
        trained("run")
    assert time.monotonic() - began < 25  # not the half minute
    assert (caught.value.exit_code, caught.value.result["steps"]) == (143, SLOW_STEP)
    assert facts("run")["status"] == "interrupted"
    saved, troubles = checkpoint.newest(Path("run/state"), "step")
    assert saved.snapshot.step == SLOW_STEP
    assert not troubles
    monkeypatch.setattr(ProtoNet, "direction", USUAL)
    meta_train(resume="run", device="cpu")
    small_runs.assert_same_training("run", finished)


@pytest.mark.usefixtures("impatient")
def test_a_first_step_longer_than_the_time_limit_says_that_nothing_was_trained(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(ProtoNet, "direction", lambda *args, **kwargs: time.sleep(30))
    with pytest.raises(RunFailed, match="nothing was trained") as caught:
        trained("run", max_time=0.05)
    assert caught.value.code == "run.no_step"


@pytest.mark.usefixtures("impatient")
def test_an_operation_that_cannot_be_interrupted_has_its_state_saved_from_another_thread(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A single call of C, as a backward pass is: Python runs nothing else in its thread."""
    left: list[MetacliError] = []
    monkeypatch.setattr(dropping, "leaving", [left.append])
    monkeypatch.setattr("metacli.engine.training.outcome.leaving", [left.append])
    steps: list[int] = []

    def direction(self, *args, **kwargs):
        steps.append(len(steps))
        if len(steps) == SLOW_STEP + 1:
            os.kill(os.getpid(), signal.SIGTERM)
            while not left and len(steps) < 200:
                hashlib.pbkdf2_hmac("sha256", b"x", b"y", 1_500_000)
                steps.append(0)
        return USUAL(self, *args, **kwargs)

    monkeypatch.setattr(ProtoNet, "direction", direction)
    with pytest.raises(Interrupted):
        trained("run")
    assert checkpoint.newest(Path("run/state"), "step")[0].snapshot.step == SLOW_STEP


def test_what_is_quick_is_never_dropped() -> None:
    with Dropping(lambda: True, lambda: True) as watched:
        for _ in range(3):
            with watched.section():
                time.sleep(0.01)


@pytest.mark.usefixtures("impatient")
def test_a_section_that_is_not_timed_goes_on_after_the_time_is_over() -> None:
    with Dropping(lambda: False, lambda: True) as watched:
        with watched.section(timed=False):
            time.sleep(0.5)
        with pytest.raises(StepDropped), watched.section():
            time.sleep(20)
