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
    assert walk.DOOR in found["adapt"]
    for verb in ("adapt", "predict"):
        assert len(found[verb]) == len(set(found[verb])) <= 8
