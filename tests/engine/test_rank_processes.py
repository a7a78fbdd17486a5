"""Runs of several real processes over gloo, as torchrun starts them."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
import small_runs
import torch
from small_runs import facts, lines, weights

from metacli.engine.meta_train import meta_train
from metacli.engine.training import checkpoint

pytestmark = pytest.mark.usefixtures("workplace", "signals_heard")
PATIENT = 200  # seconds, of a machine that has other work
# Of two ranks, one has one task and the other two. Plain descent: Adam makes a full step of a
# gradient that is nothing but rounding.
SETTINGS = ("train.meta_batch=3", "train.optimizer=sgd", "train.lr=0.01")


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def start(rank: int, port: int, *words: str) -> subprocess.Popen:
    """A rank of two, as torchrun starts it, without what that costs itself."""
    variables = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": 2, "MASTER_PORT": port}
    return subprocess.Popen(
        [sys.executable, "-m", "metacli", *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={
            **small_runs.environment(),
            "MASTER_ADDR": "127.0.0.1",
            **{name: str(value) for name, value in variables.items()},
        },
    )


def two(*words: str) -> list[subprocess.Popen]:
    port = free_port()
    return [start(rank, port, *words) for rank in range(2)]


def test_two_ranks_train_one_run_which_one_process_continues() -> None:
    settings = (*SETTINGS, "train.steps=4", "evaluate.every=2")
    ranks = two("meta-train", small_runs.recipe(), *settings, "-o", "run", "--device", "cpu")
    (out, err), (quiet, silent) = (one.communicate(timeout=PATIENT) for one in ranks)
    assert [one.returncode for one in ranks] == [0, 0], err + silent
    assert "finished after 4 steps" in out
    assert (quiet, silent) == ("", "")  # rank 0 alone prints
    assert facts("run")["ranks"] == 2
    small_runs.trained("alone", *settings)
    compare(4)
    for run in ("run", "alone"):  # on another number of ranks, with the same episodes
        meta_train(resume=run, overrides=("train.steps=6",))
    compare(6)
    assert facts("run")["ranks"] == 1


def compare(step: int) -> None:
    """The same run, but for how sums round."""
    near = {"rtol": 1e-3, "atol": 1e-5}
    one, other = (
        weights(f"run/state/step-{step}", "params.safetensors"),
        weights(f"alone/state/step-{step}", "params.safetensors"),
    )
    for name, value in one.items():
        torch.testing.assert_close(value, other[name], **near)
    pairs = zip(lines("run"), lines("alone"), strict=True)
    for found, wanted in pairs:
        assert found["step"] == wanted["step"]
        if "train" in found:
            assert found["train"]["query_loss"] == pytest.approx(
                wanted["train"]["query_loss"], abs=1e-3
            )


@pytest.mark.slow
@pytest.mark.parametrize("killed", [0, 1])
def test_a_rank_that_is_killed_ends_the_run_with_the_command_that_continues_it(
    killed: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setenv("TMPDIR", str(temporary))
    words = (*SETTINGS, "train.steps=100000", "evaluate.every=50")
    ranks = two("meta-train", small_runs.recipe(), *words, "-o", "run", "--device", "cpu")
    deadline = time.monotonic() + PATIENT
    while not list(Path("run").glob("state/step-*/state.json")):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    ranks[killed].kill()
    left = ranks[1 - killed]
    _, err = left.communicate(timeout=PATIENT)
    ranks[killed].communicate()
    assert left.returncode == 7, err
    assert "one of 2 processes ended" in err
    assert f"metacli meta-train --resume {Path('run').absolute()}" in err
    saved, _ = checkpoint.newest(Path("run/state"), "step")
    assert saved is not None
    if killed == 1:  # rank 0 has saved the step that it was at
        assert facts("run")["status"] == "failed"
        assert f"at step {saved.snapshot.step}; progress saved" in err
    again = two("meta-train", "--resume", "run", "--max-time", "1s", "--device", "cpu")
    (_, err), _ = (one.communicate(timeout=PATIENT) for one in again)
    assert [one.returncode for one in again] == [0, 0], err
    assert facts("run")["steps"] > saved.snapshot.step
    assert list(temporary.glob("metacli-rank-*")) == []  # not what the killed one left, either


@pytest.mark.slow
def test_torchrun_stops_all_ranks_in_good_order() -> None:
    words = (*SETTINGS, "train.steps=100000", "evaluate.every=50", "-o", "run", "--device", "cpu")
    process = subprocess.Popen(
        [
            *(sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2"),
            *("--master-port", str(free_port()), "-m", "metacli"),
            *("meta-train", small_runs.recipe(), *words),
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=small_runs.environment(),
    )
    deadline = time.monotonic() + PATIENT
    while not list(Path("run").glob("state/step-*/state.json")):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    os.kill(process.pid, signal.SIGTERM)
    _, err = process.communicate(timeout=PATIENT)
    assert process.returncode != 0
    assert err.count("Stopped (SIGTERM) at step") == 1, err
    assert facts("run")["status"] == "interrupted"


@pytest.mark.slow
def test_rows_of_many_tasks_are_divided_over_two_ranks() -> None:
    recipe = small_runs.recipe(TASKS, "tasks.yaml")
    ranks = two("multitask", recipe, "-o", "run", "--device", "cpu")
    (out, err), (quiet, silent) = (one.communicate(timeout=PATIENT) for one in ranks)
    assert [one.returncode for one in ranks] == [0, 0], err + silent
    assert (quiet, silent) == ("", "")
    assert "finished after 20 steps" in out
    from metacli.engine.multitask import multitask

    multitask(recipe, out="alone", device="cpu")
    one, other = (weights(f"{run}/state/step-20", "params.safetensors") for run in ("run", "alone"))
    for name, value in one.items():
        torch.testing.assert_close(value, other[name], rtol=1e-3, atol=1e-5)


TASKS = """version: 1
kind: multitask
data: {source: task-families}
sharing: {name: hard}
backbone: {name: mlp, hidden: [8]}
weighting: {name: equal}
surgery: {name: pcgrad}
train: {steps: 20, lr: 1e-2, optimizer: sgd}
evaluate: {every: 10}
"""
