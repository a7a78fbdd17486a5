"""Stub verbs in place of the engine, taken out again after each test."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cli_stubs
import pytest


@pytest.fixture
def stub(monkeypatch: pytest.MonkeyPatch) -> Callable[..., cli_stubs.Calls]:
    """`stub()` for well-behaved verbs, `stub("adapt", effect)` for one that is not."""

    def install(command: str | None = None, effect: Any = None) -> cli_stubs.Calls:
        return cli_stubs.install(
            *(command, effect),
            lambda name, module: monkeypatch.setitem(sys.modules, name, module),
            monkeypatch.setattr,
        )

    return install


@pytest.fixture(autouse=True)
def _somewhere_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "100")
