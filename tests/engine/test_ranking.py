"""Several sources on one support: what is said of each, and which is adapted."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from tiny_models import saved, tiny_model, write_classes

from metacli.algorithms.transfer.leep import leep
from metacli.algorithms.transfer.logme import logme
from metacli.data.user.open import load_task
from metacli.engine.adapt import adapt
from metacli.engine.events import Notice
from metacli.engine.results.adapt import Against, SimpleScore, Transfer
from metacli.engine.scoring.intervals import Comparison

pytestmark = pytest.mark.usefixtures("workplace")
COUNTS = {"ant": 4, "bee": 4, "cat": 4}


@pytest.fixture
def sources() -> list[str]:
    """A meta-learned network, a classifier, and one that sees nothing."""
    classifier = tiny_model({"name": "pretrain", "classes": 5}, way=3)
    blind = tiny_model()
    blind = replace(blind, params={k: torch.zeros_like(v) for k, v in blind.params.items()})
    models = {"meta": tiny_model(), "classifier": classifier, "blind": blind}
    return [saved(model, Path(name)) for name, model in models.items()]


def test_every_source_has_its_score_and_the_measures_of_its_kind(sources: list[str]) -> None:
    write_classes(Path("task"), COUNTS)
    result = adapt(sources, "task", out="mine")
    found = {Path(one["model"]).name: one for one in result["sources"]}
    scores = [one["score"] for one in result["sources"]]
    assert scores == sorted(scores, reverse=True)
    assert result["from"] == result["sources"][0]["model"]
    assert [found[name]["leep"] is None for name in ("meta", "blind", "classifier")] == [
        *(True, True, False)
    ]
    assert found["blind"]["logme"] < found["meta"]["logme"]


def test_the_measures_are_of_the_source_as_it_is(sources: list[str]) -> None:
    write_classes(Path("task"), COUNTS)
    result = adapt(sources, "task", out="mine", method="linear-probe")
    model = tiny_model({"name": "pretrain", "classes": 5}, way=3)
    task = load_task(Path("task"), model.inputs.image())
    x, y = torch.from_numpy(task.support.x), torch.from_numpy(task.support.y)
    problem = model.problem()
    features = problem.embed(model.params, x)
    theirs = torch.softmax(problem.read_out(model.params, features), 1)
    one = next(one for one in result["sources"] if one["model"].endswith("classifier"))
    assert one["logme"] == pytest.approx(logme(features, y), abs=1e-6)
    assert one["leep"] == pytest.approx(leep(theirs, y), abs=1e-6)


def test_one_example_of_each_class_is_ranked_by_logme_and_that_is_reported(
    sources: list[str],
) -> None:
    write_classes(Path("task"), {"ant": 1, "bee": 1, "cat": 1})
    events: list[object] = []
    result = adapt(sources, "task", out="mine", report=events.append)
    logmes = [one["logme"] for one in result["sources"]]
    assert logmes == sorted(logmes, reverse=True)
    assert result["sources"][0]["score"] is None
    codes = {event.code for event in events if isinstance(event, Notice)}
    assert "adapt.ranked_by_logme" in codes


def test_none_helps_is_reported_where_the_best_is_no_better_than_no_source(
    sources: list[str],
) -> None:
    """Noise has nothing to learn: a network that sees nothing is at chance, and so is the rest."""
    write_classes(Path("task"), {"ant": 6, "bee": 6})
    events: list[object] = []
    result = adapt(sources[-1:] * 2, "task", out="mine", report=events.append)
    said = [e for e in events if isinstance(e, Notice) and e.code == "adapt.none_helps"]
    assert result["none_helps"] == bool(said) == result.transfer.none_helps
    assert Path("mine/model.json").is_file()


@pytest.mark.parametrize(
    ("delta", "verdict", "wanted"),
    [
        (0.1, "helped", False),
        (0.1, "too_few_to_say", False),
        (0.1, "no_difference", True),
        (0.0, "too_few_to_say", True),
        (-0.1, "hurt", True),
        (None, "too_few_to_say", False),
    ],
)
def test_what_helping_means(delta: float | None, verdict: str, wanted: bool) -> None:
    best = None
    if delta is not None:
        found = Comparison(delta, delta - 1, delta + 1, verdict, None)
        best = Against(SimpleScore("none", 0.5), found)
    assert Transfer(best).none_helps is wanted
