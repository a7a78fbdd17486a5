"""The page of results on sets of functions is what the results files say."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks" / "results" / "meta_multitask"


def test_the_page_is_not_stale() -> None:
    spec = importlib.util.spec_from_file_location(
        "meta_multitask_table", ROOT / "benchmarks" / "meta_multitask_table.py"
    )
    assert spec is not None
    assert spec.loader is not None
    table = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(table)
    assert table.PAGE.read_text() == table.page(), "run python benchmarks/meta_multitask_table.py"


def test_a_learner_of_related_sets_is_within_what_is_asked_of_it() -> None:
    document = json.loads((RESULTS / "mtnp-shared-0.json").read_text())
    cells = {one["points"]: one for one in document["cells"] if one["variant"] == "shared"}
    limits = {5: 0.010, 10: 0.0025, 20: 0.0008}
    for points, cell in cells.items():
        joint, separate = (cell["arms"][name]["mse"] for name in ("joint", "separate"))
        assert joint["n"] == separate["n"] == 4000
        assert joint["mean"] <= limits[points]
        assert points == 20 or joint["mean"] <= separate["mean"] / 10
    assert document["seconds"] <= 20 * 60
    assert {5, 10} <= set(cells)


def test_a_guarded_learner_gains_where_tasks_are_related_and_loses_little_where_not() -> None:
    document = json.loads((RESULTS / "mtnp-pooled-0.json").read_text())
    found = {(one["variant"], one["points"]): one["differences"] for one in document["cells"]}
    assert {("noisy", 5), ("independent", 5), ("noisy", 10), ("independent", 10)} <= set(found)
    for (variant, _), differences in found.items():
        guarded = differences["guard - separate"]
        if variant == "independent":
            assert guarded["ratio"] <= 1.05
        if variant == "noisy":
            assert guarded["ci95"][1] < 0
    assert document["seconds"] <= 20 * 60
