"""The picture of a comparison holds what the comparison says."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from test_compare import noisy, run

from metacli.cli.app import main
from metacli.engine.compare import compare
from metacli.engine.reporting.compare_plot import draw, labels, letter


def test_it_names_every_item_pair_and_verdict_and_is_the_same_for_the_same_numbers(
    tmp_path: Path,
) -> None:
    paths = [run(tmp_path / name, noisy(mean)) for name, mean in (("a", 0.8), ("b", 0.9))]
    for path in paths:
        run(Path(path), np.full(40, 0.5), mode="transductive")
    result = compare(paths)
    files = [tmp_path / "one.svg", tmp_path / "two.svg"]
    for file in files:
        draw(result, file)
    text = files[0].read_text()
    assert files[1].read_text() == text
    words = re.findall(r"<text[^>]*>([^<]*)</text>", text)
    assert "accuracy, test, 5-way 1-shot, inductive" in words
    assert "accuracy, test, 5-way 1-shot, transductive" in words
    assert {"A  a", "B  b", "B is better than A", "accuracy (right is better)"} <= set(words)
    assert "B minus A: no clear difference" in words


def test_an_interval_without_ends_is_a_point(tmp_path: Path) -> None:
    few = {"episodes": 1}
    a, b = (
        run(tmp_path / name, np.array([value]), **few) for name, value in (("a", 0.1), ("b", 1))
    )
    result = compare([a, b])
    assert not np.isfinite(result["pairs"][0]["delta_ci95"]).any()
    draw(result, tmp_path / "plot.png")
    assert (tmp_path / "plot.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(("name", "start"), [("plot.svg", "<?xml"), ("table.txt", "  ")])
def test_the_name_of_the_file_says_what_it_is(
    tmp_path: Path, name: str, start: str, capsys: pytest.CaptureFixture[str]
) -> None:
    a, b = (run(tmp_path / one, noisy(0.8, at)) for at, one in enumerate("ab"))
    target = tmp_path / name
    assert main(["compare", a, b, "-o", str(target)]) == 0
    assert target.read_text().startswith(start)
    assert capsys.readouterr().out == f"{target}\n"


def test_labels_leave_out_what_all_paths_share() -> None:
    assert labels(["/x/runs/a/1", "/x/runs/b/2"]) == {"/x/runs/a/1": "a/1", "/x/runs/b/2": "b/2"}
    assert labels(["/x/a"]) == {"/x/a": "a"}


def test_runs_are_named_by_their_recipe_and_by_time_only_where_that_is_needed() -> None:
    early, late, other = "maml/20260101T000000Z", "maml/20260102T000000Z", "r2d2/20260101T000000Z"
    assert labels([f"/x/runs/{early}", f"/x/runs/{other}/model"]) == {
        f"/x/runs/{early}": "maml",
        f"/x/runs/{other}/model": "r2d2",
    }
    assert labels([f"/x/runs/{early}", f"/x/runs/{late}"]) == {
        f"/x/runs/{early}": "maml 20260101T000000Z",
        f"/x/runs/{late}": "maml 20260102T000000Z",
    }
    found = labels([f"/x/runs/{one}" for one in (early, late, other)])
    assert sorted(found.values()) == [early, late, other]


def test_letters_go_on_after_z() -> None:
    assert [letter(at) for at in (0, 25, 26)] == ["A", "Z", "27"]
