"""The table of applications is what the results files say, and its commands exist."""

from __future__ import annotations

import shlex
from pathlib import Path

from scripts import script

from metacli.data.catalogue.registry import DATASETS
from metacli.schema.load import shipped

ROOT = Path(__file__).resolve().parents[1]


def test_the_page_is_not_stale() -> None:
    made = script("applications")
    assert made.PAGE.read_text() == made.page(), "run python benchmarks/applications.py"


def test_every_row_names_a_recipe_or_a_set_and_a_results_file() -> None:
    made = script("applications")
    rows = made.rows()
    assert len(rows) == 10
    for row in rows:
        words = shlex.split(row.commands[0])
        assert words[0] == "metacli"
        assert words[2] in (DATASETS if words[1] == "sample" else dict(shipped()))
        assert (made.RESULTS / row.file).is_file()
