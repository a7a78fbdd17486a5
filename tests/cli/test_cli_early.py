"""Wrong words are answered before torch is imported, and something is on the screen at once."""

from __future__ import annotations

import contextlib
import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

from metacli.cli import streams
from metacli.cli.app import main
from metacli.cli.frame import in_words_of
from metacli.engine.scoring.checks import parse_checks
from metacli.errors import ExitCode, UsageProblem

WITHOUT_TORCH = """
import sys
from metacli.cli.app import main
from metacli.cli.frame import in_words_of
code = main(sys.argv[1:])
sys.exit(99 if "torch" in sys.modules else code)
"""


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("meta-train glyphs-5w1s-protonetz", "glyphs-5w1s-protonet"),
        ("meta-train glyphs-5w1s-protonet train.stepz=5", "train.steps"),
        ("multitask nowhere.yaml", "nowhere.yaml"),
        ("adapt ./nowhere here", "no such model or run - ./nowhere"),
        ("adapt @last here", "there is no run below ./runs yet - @last"),
        ("adapt resnet18 nowhere", "no such file or folder - nowhere"),
        ("evaluate ./nowhere", "no such model or run - ./nowhere"),
        ("evaluate resnet18 ./nowhere", "no such file or folder - ./nowhere"),
        ("predict ./nowhere here", "no such model or run - ./nowhere"),
        ("predict model ''", "no such file or folder - ''"),
        ("inspect nowhere", "no such file or folder - nowhere"),
        ("export ./nowhere", "no such model or run - ./nowhere"),
        ("report @model", "there is no adapted model here yet - @model"),
    ],
)
def test_a_wrong_word_is_answered_without_torch(words: str, message: str) -> None:
    Path("here").mkdir()
    argv = ["" if word == "''" else word for word in words.split()]
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_TORCH, *argv],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 3, done.stderr
    assert message in done.stderr
    assert done.stdout == ""


@pytest.mark.parametrize("command", ["adapt", "evaluate", "predict", "inspect", "report"])
def test_a_name_too_long_for_the_file_system_is_not_found(
    command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("here").mkdir()
    name = "./" + "x" * 5000
    words = {"adapt": [name, "here"], "predict": [name, "here"]}.get(command, [name])
    assert main([command, *words]) == 3
    assert "no such" in capsys.readouterr().err


def test_loading_stands_on_a_terminal_until_the_first_other_word(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    parent, child = pty.openpty()
    with os.fdopen(child, "w") as terminal:
        monkeypatch.setattr(sys, "stderr", terminal)
        streams.show_loading()
        streams.show_loading()
        streams.write_stderr("error: no\n")
        streams.write_stderr("again\n")
    seen = b""
    with contextlib.suppress(OSError):  # how the end of a terminal's other side reads
        while part := os.read(parent, 1000):
            seen += part
    os.close(parent)
    assert seen.decode().replace("\r\n", "\n") == "loading ...\r           \rerror: no\nagain\n"


def test_nothing_is_loading_off_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    streams.show_loading()
    assert capsys.readouterr().err == ""


def test_a_percentage_is_not_a_fraction() -> None:
    with pytest.raises(UsageProblem, match="between 0 and 1") as caught:
        parse_checks(["accuracy=90"], [])
    assert caught.value.hint == "did you mean 0.9?"
    assert [check.bound for check in parse_checks(["accuracy=0.9"], ["mse=90"])] == [0.9, 90]


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        ("meta-train glyphs-5w1s-protonet --lr 0.1", "settings are KEY=VALUE: train.lr=0.1"),
        ("meta-train glyphs-5w1s-protonet --way=3", "settings are KEY=VALUE: episodes.way=3"),
        ("multitask school-soft --guard true", "settings are KEY=VALUE: guard=true"),
        ("adapt model task --metho x", "did you mean --method?"),
    ],
)
def test_a_setting_written_as_an_option_is_answered_with_the_setting(
    words: str, hint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(words.split()) == 2
    assert f"hint: {hint}" in capsys.readouterr().err


def test_a_hint_speaks_in_the_options_of_the_command() -> None:
    assert in_words_of("evaluate", "episodes.way=263 or less") == "--way 263 or less"
    assert in_words_of("meta-train", "episodes.way=263 or less") == "episodes.way=263 or less"


@pytest.mark.parametrize("words", ["report runs", "multitask school-soft"])
def test_an_output_whose_name_is_too_long_is_no_bug(
    words: str, capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "runs").mkdir()
    long = "x" * 5000
    assert main([*words.split(), "-o", long]) == ExitCode.ENVIRONMENT
    told = capsys.readouterr().err
    assert "bug" not in told
    assert len(told) < 1500
