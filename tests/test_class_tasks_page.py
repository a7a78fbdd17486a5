"""The page of results on classification tasks is what the results files say."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from scripts import script

ROOT = Path(__file__).resolve().parents[1]
RESULTS = sorted((ROOT / "benchmarks" / "results" / "class_tasks").glob("*.json"))


def test_the_page_is_not_stale() -> None:
    made = script("class_tasks_page")
    assert made.PAGE.read_text() == made.page(), "run python benchmarks/class_tasks_page.py"


@pytest.mark.parametrize("path", RESULTS, ids=lambda one: one.stem)
def test_every_arm_has_every_task_and_the_setting_that_validation_chose(path: Path) -> None:
    run = json.loads(path.read_text())
    assert run["arms"].keys() == run["choices"].keys()
    for arm, found in run["arms"].items():
        assert len(found["auc"]["tasks"]) == len(run["tasks"])
        assert found["auc"]["mean"] == pytest.approx(sum(found["auc"]["tasks"]) / len(run["tasks"]))
        choices = run["choices"][arm]
        for one in choices if isinstance(choices, list) else [choices]:
            scores = one["validation_auc"]
            assert scores[one["chosen"]] == max(scores.values())
