"""The app against the page that scripts rely on."""

from __future__ import annotations

import re
from pathlib import Path

import cli_stubs
import contract
import pytest
import typer

from metacli.algorithms import names
from metacli.cli.app import COMMANDS as GROUPED
from metacli.cli.app import app
from metacli.cli.options import COMMON
from metacli.errors import EXIT_MEANINGS, ExitCode
from metacli.schema.load import load
from metacli.schema.recipe import KINDS

COMMANDS = typer.main.get_command(app).commands
SHARED = {f"--{name.replace('_', '-')}" for name in COMMON}


def test_commands_are_those_of_the_page_in_their_groups_and_order() -> None:
    assert list(contract.rows("Commands")) == list(GROUPED)
    assert list(contract.rows("Results")) == list(GROUPED)
    for group in ("Start", "Learn", "Use", "Share"):
        line = re.search(rf"^{group} +(.*)$", contract.section("Commands"), re.MULTILINE)
        assert line is not None
        assert line[1].split() == [name for name, (own, _) in GROUPED.items() if own == group]


@pytest.mark.parametrize("command", sorted(COMMANDS))
def test_options_are_those_of_the_page(command: str) -> None:
    params = COMMANDS[command].params
    own = {word for p in params if p.name not in COMMON for word in p.opts if word[:2] == "--"}
    assert own == contract.options()[command] - SHARED


def test_transfer_methods_are_those_of_the_page() -> None:
    (paragraph,) = re.findall(
        r"\n(`adapt --method`.*?\.)\n", contract.section("Commands"), re.DOTALL
    )
    assert re.findall(r"`([a-z0-9-]+)`", paragraph) == ["native", *names("transfer")]


def test_common_options_are_those_of_the_page() -> None:
    (paragraph,) = re.findall(
        r"^Same every.*?\n\n", contract.section("Commands"), re.DOTALL | re.MULTILINE
    )
    assert set(re.findall(r"--[a-z][a-z-]*", paragraph)) == SHARED | {"--help"}


def test_exit_codes_are_those_of_the_page_with_their_meanings() -> None:
    text = contract.section("Exit codes").partition("\n\n`inspect`")[0]
    text = " ".join(text.split())
    codes = [int(code) for code in re.findall(r"(?:^|[·,] )(\d+) [a-zA-Z]", text)]
    assert sorted(codes) == sorted(ExitCode)
    for code in (ExitCode.BUG, ExitCode.USAGE, ExitCode.INVALID, ExitCode.DOWNLOAD):
        assert f"{code.value} {EXIT_MEANINGS[code]}" in text


@pytest.mark.parametrize("command", sorted(COMMANDS))
def test_results_that_the_terminal_shows_have_the_keys_of_the_page(command: str) -> None:
    sometimes = {"revision"} if command == "fetch" else set()  # of a model on a hub
    assert contract.result_keys(command) - sometimes <= set(cli_stubs.RESULTS[command])


def test_the_recipe_on_the_page_is_one_and_names_the_other_kinds(tmp_path: Path) -> None:
    (text,) = re.findall(r"```yaml\n(.*?)```", contract.section("Recipe"), re.DOTALL)
    file = tmp_path / "page.yaml"
    file.write_text(text)
    assert load(str(file)).recipe.kind == "meta"
    (line,) = re.findall(r"^kind: (.*)$", text, re.MULTILINE)
    assert set(re.findall(r"[a-z-]+", line)) - {"or"} == set(KINDS)
