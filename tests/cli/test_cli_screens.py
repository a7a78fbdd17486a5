"""What people see, stored: five commands on terminals of 60 and 100 columns, in tests/cli/screens.

After a change that is meant, `python tests/cli/test_cli_screens.py` writes them again; look at the
difference before you commit it.
"""

from __future__ import annotations

import contextlib
import io
import os
import re
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cli_stubs
import pytest

from metacli.cli.app import main

SCREENS = Path(__file__).parent / "screens"
COMMANDS = {
    "adapt": "adapt my_model my_classes",
    "evaluate": "evaluate my_model",
    "meta-train": "meta-train glyphs-5w1s-protonet",
    "recipes": "recipes",
    "error": "predict my_model nothing.png",
}
WIDTHS = (60, 100)


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def screen(words: str, columns: int) -> str:
    """Both streams of one command on one terminal, as it was typed; without progress lines."""
    os.environ |= {"COLUMNS": str(columns), "NO_COLOR": "1", "TERM": "xterm"}
    shown = Terminal()
    with contextlib.redirect_stdout(shown), contextlib.redirect_stderr(shown):
        main(words.split())
    text = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", shown.getvalue())
    text = re.sub(r"\r?loading \.\.\.\r *\r", "", text)  # it is wiped out when there is more to say
    return f"$ metacli {words}\n{text}"


@pytest.mark.parametrize("columns", WIDTHS)
@pytest.mark.parametrize("name", COMMANDS)
def test_a_screen_is_the_stored_one(
    name: str, columns: int, stub: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    for key in ("COLUMNS", "NO_COLOR", "TERM"):
        monkeypatch.setenv(key, "")
    prepare(name, stub)
    stored = (SCREENS / f"{name}-{columns}.txt").read_text("utf-8")
    assert screen(COMMANDS[name], columns) == stored


def prepare(name: str, install: Callable[..., Any]) -> None:
    """Engine verbs with fixed results, but for the error, which is the program's own."""
    if name != "error":
        install()


def test_no_line_of_fields_is_wider_than_the_terminal() -> None:
    for file in SCREENS.glob("*-100.txt"):
        assert max(map(len, file.read_text("utf-8").splitlines())) <= 100, file.name


def write() -> None:
    SCREENS.mkdir(exist_ok=True)
    for name, words in COMMANDS.items():
        for columns in WIDTHS:
            with pytest.MonkeyPatch.context() as patch, tempfile.TemporaryDirectory() as folder:
                patch.chdir(folder)
                prepare(
                    name,
                    lambda: cli_stubs.install(
                        None,
                        None,
                        lambda key, module: patch.setitem(sys.modules, key, module),
                        patch.setattr,
                    ),
                )
                text = screen(words, columns)
            (SCREENS / f"{name}-{columns}.txt").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    write()
