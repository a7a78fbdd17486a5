"""stdout closed, full, gone or not UTF-8; signals; hostile names. In real processes."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
ENV = {**os.environ, "PYTHONPATH": f"{HERE}{os.pathsep}{HERE.parents[1]}"}
PROGRAM = """
import sys, os, time
import cli_stubs
def effect(*args, **options):
    {effect}
cli_stubs.install({command!r}, effect)
from metacli.cli.app import run
run()
"""


def start(
    *words: str, effect: str = "return cli_stubs.RESULTS['adapt']", tail: str = "", **env: str
) -> subprocess.CompletedProcess[str]:
    """A shell runs the program, `tail` being its redirections."""
    code = PROGRAM.format(effect=effect, command=words[0])
    line = f'"$PY" -c "$CODE" {" ".join(words)} {tail}'
    return subprocess.run(
        ["bash", "-c", f"set -o pipefail; {line}"],
        env={**ENV, "PY": sys.executable, "CODE": code, **env},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
@pytest.mark.parametrize(
    "words", [["adapt", "m", "t"], ["adapt", "m", "t", "--json"], ["adapt", "-h"]]
)
def test_a_full_stdout_exits_7_without_a_traceback(words: list[str]) -> None:
    done = start(*words, tail="> /dev/full")
    assert done.returncode == 7
    assert done.stderr == "error: standard output could not be written: no space left\n"


def test_a_closed_stdout_exits_7_without_a_traceback() -> None:
    done = start("adapt", "m", "t", tail=">&-")
    assert done.returncode == 7
    assert done.stderr == "error: standard output is closed: the result could not be written\n"


@pytest.mark.parametrize(
    "words", [["adapt", "m", "t"], ["adapt", "m", "t", "--json"], ["adapt", "-h"]]
)
def test_a_reader_that_went_away_is_141_and_says_nothing(words: list[str]) -> None:
    done = start(*words, tail="| sleep 0")
    code = PROGRAM.format(effect="return cli_stubs.RESULTS['adapt']", command="adapt")
    reader, writer = os.pipe()
    os.close(reader)
    process = subprocess.run(
        [sys.executable, "-c", code, *words],
        env=ENV,
        stdout=writer,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    os.close(writer)
    assert process.returncode == 141
    assert process.stderr == ""
    assert done.returncode in (0, 141)


def test_a_closed_stderr_does_not_hide_the_result() -> None:
    done = start(
        "adapt", "m", "t", "-q", effect="import warnings; return {'model': 'here'}", tail="2>&-"
    )
    assert (done.returncode, done.stdout) == (0, "here\n")


def test_a_stream_that_is_ascii_gets_ascii() -> None:
    effect = "return {**cli_stubs.RESULTS['evaluate'], 'split': 'tëst'}"
    done = start("evaluate", "m", effect=effect, PYTHONIOENCODING="ascii")
    assert done.returncode == 0
    assert "93.12 % +- 0.41" in done.stdout
    assert "t\\xebst" in done.stdout


def test_a_file_name_that_looks_like_markup_or_moves_the_cursor_is_shown_as_it_is() -> None:
    effect = (
        "from metacli.errors import DataError; "
        "raise DataError('not a picture', where='[/x]\\x1b[2J.png')"
    )
    done = start("adapt", "m", "t", effect=effect)
    assert done.returncode == 3
    assert done.stderr == "error: not a picture - [/x]\\x1b[2J.png\n"


def test_what_c_code_prints_does_not_reach_stdout() -> None:
    effect = (
        "import ctypes; libc = ctypes.CDLL(None); libc.puts(b'from C'); os.write(1, b'raw\\n'); "
        "print('from Python'); return {'model': 'here'}"
    )
    done = start("adapt", "m", "t", "-q", effect=effect)
    assert done.stdout == "here\n"
    assert {"from C", "raw", "from Python"} <= set(done.stderr.split("\n"))


@pytest.mark.usefixtures("signals_heard")
@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGTERM, 143), (signal.SIGHUP, 129), (signal.SIGINT, 130)]
)
def test_a_signal_lets_the_engine_clean_up(number: int, code: int, tmp_path: Path) -> None:
    half = tmp_path / "half"
    effect = (
        f"half = {str(half)!r}; open(half, 'w').close()\n"
        f"    try: os.kill(os.getpid(), {int(number)}); time.sleep(5)\n"
        "    finally: os.remove(half)"
    )
    done = start("adapt", "m", "t", "--json", effect=effect)
    assert done.returncode == code
    assert not half.exists()
    assert f'"exit": {code}' in done.stdout
    assert "Traceback" not in done.stderr


def test_off_a_terminal_progress_is_plain_lines_on_stderr() -> None:
    effect = "cli_stubs.training(options['report']); return cli_stubs.RESULTS['meta-train']"
    done = start("meta-train", "r", "-q", effect=effect)
    assert done.stderr == "warning: a best state was damaged; the one before it is used\n"
    done = start("meta-train", "r", effect=effect)
    lines = [line for line in done.stderr.splitlines() if re.match(r"training \d", line)]
    assert len(lines) == 10
    assert lines[-1].startswith("training 20/20 steps (100 %), ")
    assert "\x1b" not in done.stderr
    assert "next: metacli evaluate" in done.stdout
