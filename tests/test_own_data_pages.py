"""What the pages say of `adapt DATA` is what the results files say."""

from __future__ import annotations

import json
from pathlib import Path

from scripts import script

RESULTS = Path(__file__).resolve().parents[1] / "benchmarks" / "results"


def test_the_page_of_small_tables_is_not_stale() -> None:
    made = script("tables_page")
    assert made.PAGE.read_text() == made.page(), "run python benchmarks/tables_page.py"


def test_every_method_answered_on_every_draw_of_a_table() -> None:
    found = json.loads((RESULTS / "tables.json").read_text())
    assert found["list"] == "scored"
    assert all(set(run["methods"]) == set(found["seconds"]) for run in found["runs"].values())


def test_the_table_of_texts_is_not_stale() -> None:
    made = script("own_data_table")
    page = (made.result_pages.TEXTS).read_text()
    told = page.partition(made.BEGIN)[2].partition(made.END)[0].strip()
    assert told == made.table(), "run python benchmarks/own_data_table.py"
