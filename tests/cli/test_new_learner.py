"""A learner takes one file and one line of the table, and then every command knows it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import metacli.algorithms.meta
from metacli.algorithms import ALGORITHMS, Entry
from metacli.cli.app import main

pytestmark = pytest.mark.usefixtures("one_thread")
FILE = '''
from __future__ import annotations

from dataclasses import dataclass

from metacli.algorithms.learner import Learner
from metacli.algorithms.meta.episodic import features_of, frozen_features
from metacli.algorithms.meta.inner import class_means, count_classes, query_loss, trained
from metacli.autodiff import mean_gradient
from metacli.types import Update


@dataclass(frozen=True, kw_only=True)
class CityBlock(Learner):
    """ProtoNet with the sum of absolute differences."""

    scale: float = 0.1
    kinds = ("classification",)

    def logits(self, features, prototypes):
        return -self.scale * (features[:, None] - prototypes).abs().sum(-1)

    def direction(self, problem, params, batch, state, rng):
        way = count_classes(batch.query.y, problem)

        def loss(theta, episode):
            support, query = features_of(problem, {**params, **theta}, episode)
            logits = self.logits(query, class_means(support, episode.support, way))
            return query_loss(problem, logits, episode.query)

        moved = trained(problem, params)
        gradient, metrics = mean_gradient(loss, moved, batch, problem.chunk)
        return Update(gradient, state, metrics)

    def adapt(self, problem, params, support, state):
        frozen, features = frozen_features(problem, params, support)
        means = class_means(features, support, count_classes(support.y, problem))
        return {**frozen, "city_block.means": means}

    def predict(self, problem, adapted, x):
        return self.logits(problem.embed(adapted, x), adapted["city_block.means"])
'''
LINE = Entry("meta", "meta.city_block", "CityBlock", "nearest class mean by absolute differences")
RECIPE = """version: 1
kind: meta
data: {source: glyphs}
episodes: {way: 3, shot: 2, query: 2}
backbone: {name: conv4, width: 8, norm: group}
algorithm: {name: city_block, scale: 0.2}
train: {steps: 4, meta_batch: 2}
evaluate: {every: 4, episodes: 3}
"""


@pytest.fixture
def added(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cache: Any) -> None:
    """The file beside the others, and the line."""
    (tmp_path / "more").mkdir()
    (tmp_path / "more" / "city_block.py").write_text(FILE)
    package = metacli.algorithms.meta
    monkeypatch.setattr(package, "__path__", [*package.__path__, str(tmp_path / "more")])
    monkeypatch.setitem(ALGORITHMS, "city_block", LINE)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.yaml").write_text(RECIPE)


@pytest.mark.usefixtures("added")
def test_it_is_trained_evaluated_adapted_and_exported_from_the_command_line(
    capsys: pytest.CaptureFixture[str],
) -> None:
    def result(*words: str) -> dict[str, Any]:
        assert main([*words, "--json"]) == 0, words
        return json.loads(capsys.readouterr().out)["result"]

    assert result("meta-train", "mine.yaml", "-o", "run")["steps"] == 4
    assert "scale: 0.2" in Path("run/recipe.yaml").read_text()
    score = result("evaluate", "run", "--way", "4", "--episodes", "3")
    assert (score["way"], score["metric"]) == (4, "accuracy")
    result("sample", "glyphs", "classes", "--way", "5", "--shot", "3")
    assert result("adapt", "run", "classes", "-o", "adapted")["method"] == "native"
    rows = result("predict", "adapted", "classes/query")["rows"]
    assert all(sum(row["probabilities"].values()) == pytest.approx(1) for row in rows)
    parity = result("export", "adapted", "--format", "pt2", "-o", "file.pt2")["parity"]
    assert parity["max_abs"] <= 1e-5


@pytest.mark.usefixtures("added")
def test_its_fields_are_the_keys_of_the_recipe(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["meta-train", "mine.yaml", "algorithm.scalle=1", "-n"]) == 3
    assert "did you mean algorithm.scale?" in capsys.readouterr().err
