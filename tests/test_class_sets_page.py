"""The page of results on sets of classifications is what the results files say."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from scripts import script

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks" / "results" / "class_sets"


def test_the_page_is_not_stale() -> None:
    made = script("class_sets_table")
    assert made.PAGE.read_text() == made.page(), "run python benchmarks/class_sets_table.py"


@pytest.mark.skipif(not (RESULTS / "fsdd.json").is_file(), reason="speakers were not measured yet")
def test_rotations_of_speakers_test_other_people_and_their_means_are_those_of_the_table() -> None:
    found = json.loads((RESULTS / "fsdd.json").read_text())
    folds = found["folds"]
    assert len(folds) >= 12
    assert len({tuple(sorted(one["test"])) for one in folds}) == len(folds)
    for shot in ("1-shot", "5-shot"):
        each = [one["learner"]["accuracy"][shot]["joint"] for one in folds]
        mean = found["table"][shot]["arms"]["learner/joint"]["mean"]
        assert mean == pytest.approx(sum(each) / len(each))
    assert all(one["learner"]["seconds"] < 120 for one in folds)


@pytest.mark.parametrize("path", sorted(RESULTS.glob("omniglot-*.json")), ids=lambda one: one.stem)
def test_a_recipe_of_sets_of_characters_trains_in_ten_minutes(path: Path) -> None:
    found = json.loads(path.read_text())
    assert found["learner"]["seconds"] < 600
    joint, separate = (found["arms"][f"learner/{how}"]["mean"] for how in ("joint", "separate"))
    assert found["joint minus"]["learner/separate"]["delta"] == pytest.approx(joint - separate)
