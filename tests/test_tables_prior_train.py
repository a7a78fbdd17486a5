"""The training of `tables-prior`: a schedule with restarts, and a run that was stopped makes the
same weights."""

from __future__ import annotations

import importlib.util
import json
import sys
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import pytest
import torch

from metacli.nn.tables.attention import TableAttention

ROOT = Path(__file__).resolve().parents[1]
SMALL = TableAttention(cell=4, tokens=2, cell_heads=2, heads=2, cell_blocks=2, blocks=1)
CYCLES = ((4, 1e-3, 2),)


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    path = ROOT / "benchmarks" / "tables_prior_train.py"
    spec = importlib.util.spec_from_file_location("tables_prior_train", path)
    assert spec is not None
    assert spec.loader is not None
    made = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "tables_prior_train", made)
    spec.loader.exec_module(made)
    monkeypatch.setattr(made, "NETWORK", SMALL)
    monkeypatch.setattr(made, "TOLD_EVERY", 2)
    return made


@pytest.mark.usefixtures("one_thread")
def test_a_run_that_was_stopped_makes_the_same_weights(
    script: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = replace(script.SETTINGS, cycles=CYCLES)
    script.train(tmp_path / "whole", 60, settings)
    step, stopped = script.step, tmp_path / "stopped"

    def once(now, source, given):  # as if time were up after each step
        monkeypatch.setattr(script.time, "monotonic", lambda: 1e9)
        return step(now, source, given)

    monkeypatch.setattr(script, "step", once)
    for number in range(4):
        monkeypatch.setattr(script.time, "monotonic", lambda: 0.0)
        script.train(stopped, 1, settings)
        assert torch.load(stopped / "state")["step"] == number + 1
    one, other = (torch.load(tmp_path / name / "state")["params"] for name in ("whole", "stopped"))
    fresh = SMALL.init(0)
    assert all(bool((one[name] == other[name]).all()) for name in one)
    assert any(bool((one[name] != fresh[name]).any()) for name in one)
    lines = (tmp_path / "whole" / "log.jsonl").read_text().splitlines()
    assert [json.loads(line)["step"] for line in lines] == [2, 4]


def test_the_rate_rises_stays_and_falls_in_every_cycle(script: ModuleType) -> None:
    settings = replace(script.SETTINGS, cycles=((400, 2e-3, 100), (300, 1e-3, 300)), warmup=50)
    assert settings.steps == 700
    assert script.rate_at(0, settings) == pytest.approx(2e-3 / 50)
    assert script.rate_at(200, settings) == 2e-3
    assert script.rate_at(350, settings) == pytest.approx(1e-3)
    assert script.rate_at(400, settings) == pytest.approx(1e-3 / 50)
    assert script.rate_at(550, settings) == pytest.approx(5e-4)
    assert script.rate_at(700, settings) == 0.0
