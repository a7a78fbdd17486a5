"""The page on balancing methods is what the results files say."""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from scipy import stats

ROOT = Path(__file__).resolve().parents[1]
BENCHMARKS = ROOT / "benchmarks"


@pytest.fixture(scope="module")
def made() -> ModuleType:
    """The script, which imports its neighbours by name."""
    before = list(sys.path)
    sys.path.insert(0, str(BENCHMARKS))
    try:
        path = BENCHMARKS / "balancing_page.py"
        spec = importlib.util.spec_from_file_location("balancing_page", path)
        assert spec is not None
        assert spec.loader is not None
        found = importlib.util.module_from_spec(spec)
        sys.modules["balancing_page"] = found  # of its dataclasses
        spec.loader.exec_module(found)
        return found
    finally:
        sys.path[:] = before


def test_the_page_is_not_stale(made: ModuleType) -> None:
    assert made.PAGE.read_text("utf-8") == made.page(), "run python benchmarks/balancing_page.py"


def test_delta_p_and_its_interval_are_those_of_the_lines(made: ModuleType) -> None:
    """Computed again from the results file alone, with SciPy's t."""
    text = (BENCHMARKS / "results" / "scenes-reduced.jsonl").read_text().splitlines()
    trained = [line for line in map(json.loads, text) if "test" in line]
    assert trained
    lower = {"abs_error", "rel_error", "mean_angle", "median_angle"}

    def change(mine: dict, alone: dict) -> float:
        return float(
            np.mean(
                [
                    np.mean(
                        [
                            (-1 if name in lower else 1)
                            * (value - alone[task][name])
                            / alone[task][name]
                            for name, value in names.items()
                        ]
                    )
                    for task, names in mine.items()
                ]
            )
        )

    checked = 0
    for conflict in {line["conflict"] for line in trained}:
        by = {(x["arm"], x["world"]): x["test"] for x in trained if x["conflict"] == conflict}
        for one in made.measured(made.REDUCED, conflict):
            values = [change(by[one.arm, w], by["single-task", w]) for w in one.worlds]
            assert one.change.delta == pytest.approx(np.mean(values), rel=1e-9, abs=1e-12)
            if len(values) > 1 and one.arm != "single-task":
                half = stats.t.ppf(0.975, len(values) - 1) * stats.sem(values)
                assert one.change.high - one.change.delta == pytest.approx(half, rel=1e-6)
                checked += 1
    assert checked or max(len(one.worlds) for one in made.measured(made.REDUCED, 0.0)) == 1


def test_what_is_said_of_a_method_follows_from_its_interval(made: ModuleType) -> None:
    found = [
        made.Against("a", 1.0, 0.5, 1.5),
        made.Against("b", -1.0, -1.5, -0.5),
        made.Against("c", 0.1, -0.2, 0.4),
    ]
    assert [one.said for one in found] == ["better", "worse", "open"]
    assert made.counted(found, "it") == (
        "Of 3 methods 1 is better than it (`a`), 1 is worse than it (`b`); the interval of the "
        "other one includes 0."
    )


def test_every_method_of_the_page_is_one_of_ours(made: ModuleType) -> None:
    known = {*made.names("multitask"), made.SINGLE, *made.SHARING}
    assert set(made.arms()) <= known
    for _, summary, _ in made.tables():
        assert set(summary["summary"]) <= known
