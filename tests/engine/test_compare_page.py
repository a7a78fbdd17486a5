"""A comparison as a page: its verdict, its numbers, and learning curves over each other."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from test_compare import noisy, run

from metacli.cli.app import main
from metacli.engine.compare import compare
from metacli.engine.reporting.compare_page import headline, page_of


def curve(folder: Path, ends: float) -> None:
    lines = [
        {"step": step, "val": {"accuracy": {"mean": ends * step / 20, "ci95": 0.01}}}
        for step in (10, 20)
    ]
    text = "".join(json.dumps(line) + "\n" for line in lines)
    (folder / "metrics.jsonl").write_text(text)


def test_the_page_says_who_is_better_and_lays_curves_over_each_other(tmp_path: Path) -> None:
    paths = [run(tmp_path / name, noisy(mean)) for name, mean in (("<a>", 0.6), ("b", 0.9))]
    for path, ends in zip(paths, (0.6, 0.9), strict=True):
        curve(Path(path), ends)
    page = tmp_path / "page.html"
    assert main(["compare", *paths, "-o", str(page)]) == 0
    text = page.read_text()
    assert "B (b) is better than A (&lt;a&gt;)" in text
    assert "<a>" not in text
    assert "± over" in text
    assert ">40 episodes<" in text
    assert "Learning curves" in text
    assert "A (&lt;a&gt;) ends at 60.00 %; B (b) ends at 90.00 %" in text
    assert "://" not in text.replace("http://www.w3.org", "")


def test_no_clear_difference_names_what_could_be_missed(tmp_path: Path) -> None:
    same = noisy(0.8)
    paths = [run(tmp_path / "a", same), run(tmp_path / "b", same + 1e-3 * np.tile([1, -1], 20))]
    result = compare(paths)
    said = headline(result["pairs"], {path: path[-1] for path in paths})
    assert said.startswith("No clear difference (smaller than ")
    assert [one.id for one in page_of(result).sections] == ["measured-0"]
