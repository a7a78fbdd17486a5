"""What the command line passes is what the engine's functions take; read from their source."""

from __future__ import annotations

import ast
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cli_stubs
import pytest

import metacli
from metacli.cli.app import main

ENGINE = Path(metacli.__file__).parent / "engine"


def parameters(command: str) -> tuple[list[str], set[str]]:
    """(positional names, keyword names) of the real verb."""
    module, function = cli_stubs.VERBS[command]
    source = ENGINE / f"{module}.py"
    if not source.is_file():
        pytest.skip(f"engine/{module}.py is not written yet")
    tree = ast.parse(source.read_text())
    found = [n for n in tree.body if isinstance(n, ast.FunctionDef) and n.name == function]
    assert len(found) == 1, f"engine/{module}.py has no function {function}"
    arguments = found[0].args
    positional = [each.arg for each in arguments.args]
    keywords = {each.arg for each in arguments.kwonlyargs} | set(positional)
    return positional, keywords | more_keywords(arguments.kwarg)


def more_keywords(argument: ast.arg | None) -> set[str]:
    """The keys of `**more: Unpack[Name]`, a TypedDict of the engine."""
    if argument is None:
        return set()
    assert isinstance(argument.annotation, ast.Subscript)
    name = ast.unparse(argument.annotation.slice)
    classes = [
        node
        for path in ENGINE.rglob("*.py")
        for node in ast.parse(path.read_text()).body
        if isinstance(node, ast.ClassDef) and node.name == name
    ]
    assert len(classes) == 1, f"{name} is not one class of the engine"
    return {
        node.target.id
        for node in classes[0].body
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name)
    }


@pytest.mark.parametrize("command", sorted(cli_stubs.VERBS))
def test_the_engine_takes_what_the_command_passes(command: str, stub: Callable[..., Any]) -> None:
    positional, keywords = parameters(command)
    calls = stub()
    assert main([command, *cli_stubs.ARGUMENTS[command]]) == 0
    ((args, options),) = calls
    assert len(args) <= len(positional)
    assert set(options) <= keywords - set(positional[: len(args)])
