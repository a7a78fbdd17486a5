"""One run in one directory, and a dead run never blocks."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time

import pytest

from metacli.engine.storage.lock import OWNER, hold
from metacli.errors import EnvironmentProblem

HOLDER = """
import sys, time
from pathlib import Path
from metacli.engine.storage.lock import hold
with hold(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def holder(tmp_path):
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(tmp_path)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.wait()
    process.stdout.close()


@pytest.mark.slow
def test_a_second_process_is_refused_within_five_seconds_and_reported_who_holds_it(
    holder, tmp_path
):
    start = time.perf_counter()
    with pytest.raises(EnvironmentProblem) as caught, hold(tmp_path):
        pytest.fail("two holders")
    assert time.perf_counter() - start < 5
    owner = json.loads((tmp_path / OWNER).read_text())
    assert owner["pid"] == holder.pid
    error = caught.value
    assert (error.exit_code, error.code, error.where) == (4, "environment.locked", str(tmp_path))
    for word in (str(owner["pid"]), owner["host"], owner["start"]):
        assert word in error.message


def test_a_killed_run_does_not_block_although_its_note_is_still_there(holder, tmp_path):
    os.kill(holder.pid, signal.SIGKILL)
    holder.wait()
    assert (tmp_path / OWNER).exists()
    start = time.perf_counter()
    with hold(tmp_path):
        assert json.loads((tmp_path / OWNER).read_text())["pid"] == os.getpid()
    assert time.perf_counter() - start < 1


def test_a_run_that_ends_while_we_wait_lets_us_in(holder, tmp_path):
    threading.Timer(0.3, holder.kill).start()
    with hold(tmp_path, wait_s=4):
        assert holder.wait() != 0


def test_the_same_process_cannot_hold_it_twice(tmp_path):
    with hold(tmp_path):
        with pytest.raises(EnvironmentProblem, match=str(os.getpid())), hold(tmp_path, wait_s=0):
            pytest.fail("two holders")
        assert (tmp_path / OWNER).exists()
    with hold(tmp_path):
        pass


def test_the_lock_is_given_back_when_the_run_fails(tmp_path):
    with pytest.raises(KeyError), hold(tmp_path / "new"):
        raise KeyError("x")
    assert not (tmp_path / "new" / OWNER).exists()
    with hold(tmp_path / "new"):
        pass


def test_a_damaged_note_does_not_hide_the_refusal(tmp_path):
    with hold(tmp_path):
        (tmp_path / OWNER).write_bytes(b"[1")
        with pytest.raises(EnvironmentProblem, match="another process"), hold(tmp_path, wait_s=0):
            pytest.fail("two holders")


def test_a_file_in_place_of_the_folder_is_a_problem_of_the_environment(tmp_path):
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(EnvironmentProblem) as caught, hold(tmp_path / "file"):
        pytest.fail("held a file")
    assert caught.value.exit_code == 4
