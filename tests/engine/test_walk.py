"""A user's task passes few files on its way through a verb (`python benchmarks/walk.py`)."""

from __future__ import annotations

import importlib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def test_a_task_passes_at_most_eight_files_each_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    monkeypatch.chdir(tmp_path)
    walk = importlib.import_module("walk")
    found = walk.walks(tmp_path)
    assert found["adapt"][0] == "engine/adapt.py"
    assert "engine/adapting/scoring.py" in found["adapt"]  # it saw the way
    again = [name for name in set(found["adapt"]) if found["adapt"].count(name) > 1]
    assert len(set(found["adapt"])) <= 8
    assert again in ([], [walk.DOOR])  # a first look tells a task from a folder of tasks
    assert len(found["predict"]) == len(set(found["predict"])) <= 8
