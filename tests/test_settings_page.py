"""Every results file says how its settings were chosen."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).resolve().parents[1] / "benchmarks"


@pytest.fixture
def page(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    import settings_page

    yield settings_page
    sys.modules.pop("settings_page")


def test_every_results_file_has_one_line_on_its_settings(page):
    told = [name for entry in page.entries() for name in page.files_of(entry)]
    there = [str(one.relative_to(page.RESULTS)) for one in page.RESULTS.rglob("*.json*")]
    assert sorted(told) == sorted(there)
    assert len(there) > 50


def test_every_line_speaks_of_files_and_of_a_way_that_is_explained(page):
    for entry in page.entries():
        assert page.files_of(entry), entry["results"]
        assert set(entry) == {"results", "chosen", "how"}
        assert entry["chosen"] in page.WAYS


def test_files_that_a_line_mentions_are_there(page):
    named = [
        (entry["results"], name)
        for entry in page.entries()
        for name in re.findall(r"[\w./-]+\.(?:py|md|json)\b", entry["how"])
    ]
    assert len(named) > 10
    for results, name in named:
        places = (BENCHMARKS.parent / name, BENCHMARKS / name, page.RESULTS / name)
        assert any(one.is_file() for one in places), (results, name)


def test_the_page_is_that_of_the_list(page):
    told = page.PAGE.read_text(encoding="utf-8")
    made = told.partition(page.BEGIN)[2].partition(page.END)[0].strip()
    assert made == page.table()
