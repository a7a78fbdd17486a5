"""Comparing: only what was measured on the same units, and verdicts that hold."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats

from metacli.engine.compare import compare
from metacli.engine.scoring import score_file as scores
from metacli.errors import BundleError, DataError, ExitCode

WHAT = {
    "data_digest": "ab" * 32,
    "split": "test",
    "way": 5,
    "shot": 1,
    "query": 15,
    "balanced": True,
    "seed": 0,
    "episodes": 40,
}
HARD = 0.08 * np.random.Generator(np.random.PCG64(5)).standard_normal(40)
"""Of each episode, the same for all models."""


def run(
    folder: Path,
    values: np.ndarray,
    recipe: str | None = None,
    run_seed: int = 0,
    metric: str = "accuracy",
    mode: str = "inductive",
    **what: Any,
) -> str:
    """A run folder with one more evaluation in its score file."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "run.json").write_text("{}")
    (folder / "model").mkdir(exist_ok=True)
    (folder / "model" / "model.json").write_text("{}")
    facts = {**WHAT, **what}
    line = {"model": str(folder / "model"), **facts, "unit": "episode", "metric": metric}
    line |= {"units": scores.units_hash(**facts), "mode": mode}
    line |= {} if recipe is None else {"recipe": recipe, "run_seed": run_seed}
    scores.record(folder / "scores.jsonl", line, values)
    return str(folder)


def noisy(mean: float, number: int = 0) -> np.ndarray:
    """The scores of a model, the same for the same mean and number whatever was drawn before."""
    draw = np.random.Generator(np.random.PCG64([round(1000 * mean), number]))
    return mean + HARD + 0.02 * draw.standard_normal(40)


def test_two_runs_are_paired_episode_by_episode(tmp_path: Path) -> None:
    one, other = noisy(0.8), noisy(0.83)
    found = compare([run(tmp_path / "a", one), run(tmp_path / "b", other)])
    assert [item["path"] for item in found["items"]] == [str(tmp_path / "a"), str(tmp_path / "b")]
    assert found["items"][0]["mean"] == pytest.approx(one.mean())
    (pair,) = found["pairs"]
    wanted = stats.ttest_rel(other, one)
    interval = wanted.confidence_interval(0.95)
    assert pair["delta"] == pytest.approx((other - one).mean())
    assert pair["delta_ci95"] == pytest.approx([interval.low, interval.high])
    assert pair["p"] == pair["p_adjusted"] == pytest.approx(wanted.pvalue)
    assert (pair["verdict"], pair["about"], pair["n"]) == ("helped", "models", 40)


def test_pairing_finds_what_two_separate_intervals_do_not(tmp_path: Path) -> None:
    found = compare([run(tmp_path / "a", noisy(0.8)), run(tmp_path / "b", noisy(0.81) + 0.01)])
    a, b = found["items"]
    assert b["mean"] - b["ci95"] < a["mean"] + a["ci95"]
    assert found["pairs"][0]["verdict"] == "helped"


@pytest.mark.parametrize(("metric", "verdict"), [("accuracy", "hurt"), ("mse", "helped")])
def test_lower_is_better_for_an_error(metric: str, verdict: str, tmp_path: Path) -> None:
    paths = [
        run(tmp_path / name, noisy(mean), metric=metric) for name, mean in (("a", 0.9), ("b", 0.5))
    ]
    assert compare(paths)["pairs"][0]["verdict"] == verdict


def test_fewer_than_ten_units_are_too_few_to_say(tmp_path: Path) -> None:
    paths = [
        run(tmp_path / name, np.arange(9) / 10 + add, episodes=9)
        for name, add in (("a", 0.0), ("b", 0.5))
    ]
    assert compare(paths)["pairs"][0]["verdict"] == "too_few_to_say"


def test_units_that_are_not_finite_are_left_out_of_the_pair_and_reported(tmp_path: Path) -> None:
    one, other = noisy(0.8), noisy(0.8, 1)
    one[3], other[7] = np.nan, np.inf
    notices: list[Any] = []
    paths = [run(tmp_path / "a", one), run(tmp_path / "b", other)]
    (pair,) = compare(paths, report=notices.append)["pairs"]
    good = np.isfinite(one) & np.isfinite(other)
    assert (pair["n"], pair["not_finite"]) == (38, 2)
    assert pair["delta"] == pytest.approx((other - one)[good].mean())
    assert [notice.code for notice in notices] == ["compare.not_finite"]


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"shot": 5}, "shot 1 and 5"),
        ({"split": "val"}, "split test and val"),
        ({"seed": 1}, "seed 0 and 1"),
        ({"data_digest": "cd" * 32}, "data_digest abababababab... and cdcdcdcdcdcd..."),
        ({"metric": "mse"}, "metric accuracy and mse"),
        ({"mode": "transductive"}, "mode inductive and transductive"),
        ({"way": [3, 5], "query": 5}, r"way 5 and \[3, 5\], query 15 and 5"),
    ],
)
def test_what_was_measured_otherwise_is_refused_and_named(
    change: dict[str, Any], named: str, tmp_path: Path
) -> None:
    paths = [run(tmp_path / "a", noisy(0.8)), run(tmp_path / "b", noisy(0.8, 1), **change)]
    with pytest.raises(DataError, match=f"not measured on the same units: {named}$") as caught:
        compare(paths)
    assert caught.value.exit_code == ExitCode.INVALID
    assert caught.value.code == "scores.not_comparable"


def test_what_all_were_measured_on_is_compared_and_the_rest_is_reported(tmp_path: Path) -> None:
    paths = [run(tmp_path / "a", noisy(0.8)), run(tmp_path / "b", noisy(0.8, 1))]
    for path in paths:
        run(Path(path), noisy(0.9), shot=5)
    run(tmp_path / "b", noisy(0.9), shot=10)
    notices: list[Any] = []
    found = compare(paths, report=notices.append)
    assert [pair["shot"] for pair in found["pairs"]] == [1, 5]
    assert len(found["items"]) == 4
    assert [notice.code for notice in notices] == ["compare.left_out"]


def seeds(
    tmp_path: Path, recipe: str, mean: float, count: int = 3, spread: float = 0.02
) -> list[str]:
    shifts = spread * np.array([-1.0, 0.0, 1.0, 0.5, -0.5])[:count]
    return [
        run(tmp_path / recipe / f"seed{n}", noisy(mean + shift), recipe, n)
        for n, shift in enumerate(shifts)
    ]


def test_runs_that_differ_in_the_seed_alone_are_one_item(tmp_path: Path) -> None:
    found = compare([*seeds(tmp_path, "maml", 0.7), *seeds(tmp_path, "protonet", 0.9)])
    assert [item["path"] for item in found["items"]] == [
        str(tmp_path / "maml"),
        str(tmp_path / "protonet"),
    ]
    assert [item["seeds"] for item in found["items"]] == [[0, 1, 2], [0, 1, 2]]
    (pair,) = found["pairs"]
    assert (pair["about"], pair["verdict"]) == ("recipes", "helped")
    low, high = pair["delta_ci95"]
    assert low < pair["delta"] < high
    assert high - low > 0.08  # of the seeds alone 2 t s (2/3)^0.5 = 0.09, with s about 0.02


@pytest.mark.parametrize(("count", "about"), [(1, "models"), (2, "models"), (3, "recipes")])
def test_a_verdict_is_about_recipes_from_three_seeds_on(
    count: int, about: str, tmp_path: Path
) -> None:
    one, other = seeds(tmp_path, "one", 0.7), seeds(tmp_path, "other", 0.9)
    (pair,) = compare([*one[:count], *other[:count]]).pairs
    assert pair.about == about


def test_a_difference_within_the_spread_of_the_seeds_is_none_between_recipes(
    tmp_path: Path,
) -> None:
    one, other = seeds(tmp_path, "one", 0.80), seeds(tmp_path, "other", 0.82)
    assert compare([one[0], other[0]])["pairs"][0]["verdict"] == "helped"  # of two models
    assert compare([*one, *other])["pairs"][0]["verdict"] == "no_difference"  # of two recipes


def test_seeds_of_one_recipe_alone_are_compared_with_each_other(tmp_path: Path) -> None:
    found = compare(seeds(tmp_path, "maml", 0.7))
    assert len(found["items"]) == len(found["pairs"]) == 3
    assert {pair["about"] for pair in found["pairs"]} == {"models"}


def test_many_pairs_of_the_same_are_seldom_distinguished(tmp_path: Path) -> None:
    told = raw = 0
    for study in range(40):
        paths = [run(tmp_path / f"{study}-{n}", noisy(0.8, 6 * study + n)) for n in range(6)]
        pairs = compare(paths)["pairs"]
        assert len(pairs) == 15
        told += any(pair["verdict"] != "no_difference" for pair in pairs)
        raw += any(pair["p"] <= 0.05 for pair in pairs)
    assert raw >= 8  # one in three without the correction
    assert told <= 5  # 5 % of 40 is 2; more than 5 by chance: 1.4 %


def test_a_score_file_of_two_models_is_compared_with_itself(tmp_path: Path) -> None:
    paths = [run(tmp_path / "a", noisy(0.8)), run(tmp_path / "b", noisy(0.9))]
    lines = [(Path(path) / "scores.jsonl").read_text() for path in paths]
    (tmp_path / "both.jsonl").write_text("".join(lines))
    (pair,) = compare([str(tmp_path / "both.jsonl")])["pairs"]
    assert (pair["a"], pair["b"]) == tuple(f"{path}/model" for path in paths)


def test_a_run_its_model_and_its_score_file_are_the_same(tmp_path: Path) -> None:
    path = run(tmp_path / "a", noisy(0.8))
    with pytest.raises(DataError, match="nothing to compare it with"):
        compare([path, f"{path}/model", f"{path}/scores.jsonl"])


def test_a_run_that_was_moved_is_still_found(tmp_path: Path) -> None:
    run(tmp_path / "a", noisy(0.8))
    (tmp_path / "a").rename(tmp_path / "moved")
    found = compare([str(tmp_path / "moved"), run(tmp_path / "b", noisy(0.9))])
    assert found["items"][0]["path"] == str(tmp_path / "moved")


def test_what_was_never_evaluated_says_what_to_type(tmp_path: Path) -> None:
    path = run(tmp_path / "a", noisy(0.8))
    other = run(tmp_path / "b", noisy(0.8, 1))
    (tmp_path / "b" / "scores.jsonl").unlink()
    with pytest.raises(DataError, match="has not been evaluated yet") as caught:
        compare([path, other])
    assert caught.value.hint == f"metacli evaluate {other}"


NO_VALUES = {"model": "m", "units": "u", "metric": "accuracy", "mode": "inductive", "values": None}


@pytest.mark.parametrize(
    "content",
    ["[1]\n", "not json\n", json.dumps({"model": "m"}) + "\n", json.dumps(NO_VALUES) + "\n"],
)
def test_a_file_that_holds_no_scores_is_refused(content: str, tmp_path: Path) -> None:
    (tmp_path / "file.jsonl").write_text(content)
    with pytest.raises((DataError, BundleError), match="score") as caught:
        compare([str(tmp_path / "file.jsonl")])
    assert caught.value.exit_code == ExitCode.INVALID


def test_a_path_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="no such model or run"):
        compare([str(tmp_path / "none"), str(tmp_path / "nothing")])
