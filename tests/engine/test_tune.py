"""A search draws settings, trains, keeps what it tried, and ends in a recipe."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from metacli.engine.events import Event, Notice
from metacli.engine.tune import tune
from metacli.engine.tuning.limits import Limits
from metacli.engine.tuning.space import Choice, Range, parse_space
from metacli.errors import BundleError, RecipeError, UsageProblem
from metacli.schema.load import load

pytestmark = pytest.mark.usefixtures("workplace", "one_thread")
SMALL = (
    *("train.steps=2", "evaluate.every=2", "evaluate.episodes=3", "backbone.width=4"),
    *("train.meta_batch=1", "episodes.way=2", "episodes.query=2"),
)


def test_a_range_a_choice_and_a_fixed_setting_are_distinguished() -> None:
    space = parse_space(["train.lr=1e-4..1e-2", "train.steps=10..20", "a.b=x,y,x", "c=[1, 2]"])
    assert space.searched == (
        Range("train.lr", 1e-4, 1e-2, whole=False),
        Range("train.steps", 10, 20, whole=True),
        Choice("a.b", ("x", "y")),
    )
    assert space.fixed == ("c=[1, 2]",)
    assert [one.log for one in space.searched[:2] if isinstance(one, Range)] == [True, False]
    assert parse_space(["x=.1..0.5"]).searched == (Range("x", 0.1, 0.5, whole=False),)


@pytest.mark.parametrize("word", ["train.lr=2..1", "train.lr=a..b", "train.lr=1..1", "train.lr=1"])
def test_what_is_no_range_is_refused(word: str) -> None:
    with pytest.raises(UsageProblem, match=r"not a range|nothing to search"):
        parse_space([word])


def test_the_best_training_becomes_a_recipe_and_a_search_goes_on_where_it_stood() -> None:
    words = (*SMALL, "train.lr=1e-4..1e-1", "train.optimizer=adam,sgd")
    first = tune("glyphs-5w1s-protonet", words, limits=Limits(2), out="search", seed=3)
    assert [one["number"] for one in first["trials"]] == [0, 1]
    values = [one["value"] for one in first["trials"]]
    assert first["best"]["value"] == max(values)
    recipe = load("search/recipe.yaml").recipe
    wanted = dict(word.split("=") for word in first["best"]["settings"])
    assert recipe.train.lr == pytest.approx(float(wanted["train.lr"]))
    assert recipe.train.optimizer == wanted["train.optimizer"]
    assert recipe.train.steps == 2
    again = tune(resume="search", limits=Limits(1))
    assert [one["number"] for one in again["trials"]] == [0, 1, 2]
    assert again["trials"][:2] == first["trials"]
    assert again["trials"][2]["settings"] != first["trials"][0]["settings"]
    json.dumps(again)


def test_the_same_seed_searches_the_same_settings() -> None:
    words = (*SMALL, "train.lr=1e-4..1e-1")
    results = [
        tune("glyphs-5w1s-protonet", words, limits=Limits(1), out=name, seed=5)
        for name in ("one", "other")
    ]
    assert results[0]["trials"][0]["settings"] == results[1]["trials"][0]["settings"]


def test_a_loss_that_is_not_finite_is_a_failed_training_and_not_the_end() -> None:
    words = (*SMALL, "train.lr=1e30,0.01")
    result = tune("glyphs-5w1s-protonet", words, limits=Limits(6), out="search", seed=1)
    found = {one["settings"][-1]: one["status"] for one in result["trials"]}
    assert found == {"train.lr=1e30": "failed", "train.lr=0.01": "finished"}
    assert result["best"]["settings"][-1] == "train.lr=0.01"


def test_the_budget_ends_a_search_after_a_whole_training() -> None:
    events: list[Event] = []
    words = (*SMALL, "train.lr=1e-4..1e-1")
    limits = Limits(5, seconds=1e-9)
    result = tune("glyphs-5w1s-protonet", words, limits=limits, out="s", report=events.append)
    assert len(result["trials"]) == 1
    assert [one.code for one in events if isinstance(one, Notice)] == ["tune.budget"]


def test_wrong_words_write_nothing() -> None:
    with pytest.raises(RecipeError):
        tune("glyphs-5w1s-protonet", ["train.stepz=5", "train.lr=1..2"], out="s")
    with pytest.raises(UsageProblem, match="nothing to search"):
        tune("glyphs-5w1s-protonet", SMALL, out="s")
    with pytest.raises(BundleError, match="not the folder of a search"):
        tune(resume="nowhere")
    planned = tune("glyphs-5w1s-protonet", ["train.lr=1..2"], out="s", dry_run=True)
    assert planned["run"].endswith("s")
    assert not Path("s").exists()
