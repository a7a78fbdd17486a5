"""Every algorithm has a page, with every heading, and what it says is what the code says."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from scripts import script

from metacli.algorithms import ALGORITHMS
from metacli.engine.training.few_shot.build import build_few_shot
from metacli.engine.training.options import make_learner
from metacli.engine.training.problems import Problems
from metacli.schema.load import load

ROOT = Path(__file__).resolve().parents[1]


pages = script("pages")
HOW = "run python benchmarks/pages.py"


def test_there_is_a_page_for_each_entry_and_for_nothing_else() -> None:
    files = {path.stem for path in pages.PAGES.glob("*.md")} - {"README"}
    assert files == set(ALGORITHMS), HOW
    assert (pages.PAGES / "README.md").read_text() == pages.index(), HOW


def test_the_types_of_the_package_are_those_of_the_table() -> None:
    assert pages.STUB.read_text() == pages.stub(), HOW


@pytest.mark.parametrize("name", ALGORITHMS)
def test_a_page_is_not_stale_and_has_something_under_every_heading(name: str) -> None:
    text = (pages.PAGES / f"{name}.md").read_text()
    assert text == pages.page(name), HOW
    sections = re.split(r"^## (.*)\n", text, flags=re.MULTILINE)
    found = dict(zip(sections[1::2], sections[2::2], strict=True))
    assert tuple(found) == pages.HEADINGS
    assert all(len(body.strip()) > 5 for body in found.values())
    assert text.count("```") % 2 == 0


@pytest.mark.parametrize("name", [n for n, one in ALGORITHMS.items() if one.family == "meta"])
def test_the_command_of_a_page_is_a_recipe_that_can_be_built(name: str, cache: Any) -> None:
    words = pages.words_for(name, ALGORITHMS[name])
    loaded = load(words[0], words[1:])
    assert make_learner(loaded.recipe.algorithm, Problems(loaded)) is not None
    assert build_few_shot(loaded).recipe.algorithm.name == name


def test_published_figures_are_of_algorithms_that_there_are() -> None:
    published = json.loads(pages.PUBLISHED.read_text())
    assert set(published) <= set(ALGORITHMS)
    assert all(one["source"] and one["figures"] for one in published.values())
