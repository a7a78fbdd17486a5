"""A learner takes one file and one line of the table, and then every command knows it: one that
compares features, and one that adapts by gradient steps."""

from __future__ import annotations

import ast
import importlib
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

import metacli
import metacli.algorithms.meta
from metacli.algorithms import ALGORITHMS, Entry
from metacli.cli.app import main

pytestmark = pytest.mark.usefixtures("one_thread")
CITY_BLOCK = '''
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
SIGN_MAML = '''
from __future__ import annotations

from dataclasses import dataclass

import torch

from metacli.algorithms.meta.gradient_learner import DescentLearner
from metacli.algorithms.meta.inner import Descent
from metacli.trees import map_params


@dataclass(frozen=True, kw_only=True)
class SignMAML(DescentLearner):
    """C. Fan, P. Ram, S. Liu, "Sign-MAML: Efficient Model-Agnostic Meta-Learning by SignSGD", 2021,
    https://arxiv.org/abs/2109.07497: φ ← φ − α sign ∇L_S(φ), whose derivative is that of φ."""

    inner_lr: float = 0.01
    inner_steps: int = 2
    first_order: bool = True

    def rule(self, params):
        return Descent(self.inner_lr, lambda gradient: map_params(torch.sign, gradient))
'''
ADDED = {
    "city_block": (CITY_BLOCK, "CityBlock"),
    "sign_maml": (SIGN_MAML, "SignMAML"),
}
RECIPE = """version: 1
kind: meta
data: {source: glyphs}
episodes: {way: WAY, shot: 2, query: 2}
backbone: {name: conv4, width: 8, norm: group}
algorithm: {name: NAME}
train: {steps: 4, meta_batch: 2}
evaluate: {every: 4, episodes: 3}
"""


@pytest.fixture(params=[pytest.param("city_block", marks=pytest.mark.slow), "sign_maml"])
def added(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cache: Any
) -> str:
    """The learner's name; its file is beside the others, its line in the table."""
    name: str = request.param
    file, cls = ADDED[name]
    (tmp_path / "more").mkdir()
    (tmp_path / "more" / f"{name}.py").write_text(file)
    package = metacli.algorithms.meta
    monkeypatch.setattr(package, "__path__", [*package.__path__, str(tmp_path / "more")])
    monkeypatch.setitem(ALGORITHMS, name, Entry("meta", f"meta.{name}", cls, "made by a test"))
    monkeypatch.chdir(tmp_path)
    way = 3 if name == "city_block" else 5  # that of the task below
    (tmp_path / "mine.yaml").write_text(RECIPE.replace("NAME", name).replace("WAY", str(way)))
    return name


def test_it_is_trained_evaluated_adapted_and_exported_from_the_command_line(
    added: str, capsys: pytest.CaptureFixture[str]
) -> None:
    def result(*words: str) -> dict[str, Any]:
        assert main([*words, "--json"]) == 0, words
        return json.loads(capsys.readouterr().out)["result"]

    assert result("meta-train", "mine.yaml", "-o", "run")["steps"] == 4
    assert f"name: {added}" in Path("run/recipe.yaml").read_text()
    way = ("--way", "4") if added == "city_block" else ()
    score = result("evaluate", "run", *way, "--episodes", "3")
    assert (score["way"], score["metric"]) == (4 if way else 5, "accuracy")
    result("sample", "glyphs", "classes", "--way", "5", "--shot", "3")
    assert result("adapt", "run", "classes", "-o", "adapted")["method"] == "native"
    rows = result("predict", "adapted", "classes/query")["rows"]
    assert all(sum(row["probabilities"].values()) == pytest.approx(1) for row in rows)
    parity = result("export", "adapted", "--format", "pt2", "-o", "file.pt2")["parity"]
    assert parity["max_abs"] <= 1e-5


def test_its_fields_are_the_keys_of_the_recipe(
    added: str, capsys: pytest.CaptureFixture[str]
) -> None:
    wrong, right = ("scalle", "scale") if added == "city_block" else ("inner_stepz", "inner_steps")
    assert main(["meta-train", "mine.yaml", f"algorithm.{wrong}=1", "-n"]) == 3
    assert f"did you mean algorithm.{right}?" in capsys.readouterr().err


def test_a_gradient_learner_has_at_most_five_lines_beside_its_equation() -> None:
    cls = ast.parse(SIGN_MAML).body[-1]
    assert isinstance(cls, ast.ClassDef)
    (rule,) = [one for one in cls.body if isinstance(one, ast.FunctionDef)]
    fields = [one for one in cls.body if isinstance(one, ast.AnnAssign)]
    docstring = cls.body[0]
    assert cls.end_lineno is not None
    whole = cls.end_lineno - cls.decorator_list[0].lineno + 1
    said = [docstring, *fields, *rule.body]
    beside = whole - sum((one.end_lineno or 0) - one.lineno + 1 for one in said)
    blank = 2
    assert beside - blank <= 5


def test_it_steps_by_the_sign_of_the_gradient(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Against the equation by hand, in float64, and its derivative, which is that of φ alone."""
    (tmp_path / "sign_maml.py").write_text(SIGN_MAML)
    monkeypatch.syspath_prepend(str(tmp_path))
    learner = importlib.import_module("sign_maml").SignMAML(inner_lr=0.1, inner_steps=2)
    net = nn.Linear(3, 1).double()
    problem = metacli.Problem.from_module(net, loss="mse")
    rng = torch.Generator().manual_seed(0)
    batches = [
        metacli.Batch(
            torch.randn(1, 4, 3, generator=rng).double(),
            torch.randn(1, 4, 1, generator=rng).double(),
        )
        for _ in range(2)
    ]
    found, _ = learner.gradient(problem, metacli.Episode(*batches))

    w, b = net.weight.detach().clone(), net.bias.detach().clone()
    for _ in range(2):
        off = batches[0].x[0] @ w.T + b - batches[0].y[0]
        slope = (2 * off * batches[0].x[0]).mean(0, keepdim=True), (2 * off).mean(0)
        w, b = w - 0.1 * slope[0].sign(), b - 0.1 * slope[1].sign()
    off = batches[1].x[0] @ w.T + b - batches[1].y[0]
    wanted = (2 * off * batches[1].x[0]).mean(0, keepdim=True)
    assert torch.allclose(found["net.weight"], wanted, atol=1e-12)
