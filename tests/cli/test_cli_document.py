"""The app against the document that specifies it, where a checkout has it beside the repository."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import typer

from metacli.cli.app import app
from metacli.cli.options import COMMON

DOCUMENT = Path(__file__).parents[3] / "shared" / "docs" / "CLI.md"
COMMANDS = typer.main.get_command(app).commands


def documented() -> dict[str, set[str]]:
    """command: the options in its row of the table of verbs."""
    if not DOCUMENT.is_file():
        pytest.skip(f"no specification at {DOCUMENT.name} beside this repository")
    rows = re.findall(
        r"^\| `([a-z-]+)[^|`]*(?:\\\|[^|`]*)*` \|(.*)\|$", DOCUMENT.read_text(), re.MULTILINE
    )
    found: dict[str, set[str]] = {}
    above: set[str] = set()
    for name, rest in rows:
        same = rest.strip().startswith("same |")  # as the row above
        found[name] = above if same else set(re.findall(r"--[a-z][a-z-]*", rest))
        above = found[name]
    assert len(found) >= 13
    return found


def own_options(command: str) -> set[str]:
    params = COMMANDS[command].params
    return {
        word for p in params if p.name not in COMMON for word in p.opts if word.startswith("--")
    }


@pytest.mark.parametrize("command", sorted(COMMANDS))
def test_options_are_those_of_the_document(command: str) -> None:
    common = {f"--{name.replace('_', '-')}" for name in COMMON}
    assert own_options(command) == documented()[command] - common


def test_common_options_are_those_of_the_document() -> None:
    documented()
    line = next(row for row in DOCUMENT.read_text().splitlines() if row.startswith("Same every"))
    listed = set(re.findall(r"--[a-z][a-z-]*", line))
    assert listed == {f"--{name.replace('_', '-')}" for name in COMMON} | {"--help"}
