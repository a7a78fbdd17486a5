"""The page of results of `tables-prior` is what the results files say."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from scripts import script

from metacli.data.catalogue.table_prior import PRIOR

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks" / "results"


def test_the_page_is_not_stale() -> None:
    made = script("tables_prior_page")
    assert made.PAGE.read_text() == made.page(), "run python benchmarks/tables_prior_page.py"


def test_the_training_that_is_told_is_that_of_the_weights() -> None:
    told = json.loads((RESULTS / "tables_prior-training.json").read_text())
    assert told["sha256"] == PRIOR.sha256
    assert told["seconds"] < 6 * 3600


@pytest.mark.skipif(not (RESULTS / "tables_prior.json").exists(), reason="not measured")
def test_differences_are_of_draws_that_every_method_answered() -> None:
    found = json.loads((RESULTS / "tables_prior.json").read_text())
    methods = set(found["summary"]["seconds"])
    whole = [run for run in found["runs"].values() if methods <= set(run["methods"])]
    assert found["summary"]["draws"] == len(whole) > 0
