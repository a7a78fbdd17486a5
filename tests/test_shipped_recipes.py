"""Every shipped recipe says what it does, can be built, and expects a score that was measured."""

from __future__ import annotations

import importlib
import json
import re
from pathlib import Path

import pytest

from metacli.algorithms import ALGORITHMS
from metacli.data.catalogue.registry import DATASETS
from metacli.engine.training.few_shot.build import build_few_shot
from metacli.engine.training.options import make_learner, make_named
from metacli.engine.training.problems import Problems
from metacli.nn.backbones.table import BACKBONES
from metacli.schema.load import dump, load, shipped

ROOT = Path(__file__).resolve().parents[1]
RECIPES = dict(shipped())
META = [name for name in RECIPES if load(name).recipe.kind == "meta"]
NEEDED = {
    "glyphs-5w1s-protonet",
    "glyphs-anyway-maml",
    "omniglot-5w1s-protonet",
    "omniglot-5w1s-maml",
    "sinusoid-10shot-maml",
}


def test_the_recipes_that_the_readme_promises_are_there():
    assert set(RECIPES) >= NEEDED


@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_opens_with_its_purpose_its_command_and_its_score(name):
    first, *more = load(name).header.splitlines()
    assert first.endswith(".")
    verb = "multitask" if load(name).recipe.kind == "multitask" else "meta-train"
    assert f"metacli {verb} {name}" in "\n".join(more)
    assert re.search(r"minutes?", load(name).header)


@pytest.mark.parametrize("name", META)
def test_a_recipe_is_named_after_its_data_and_its_method(name):
    recipe = load(name).recipe
    source = recipe.data.source if recipe.data.source in DATASETS else "folder"
    begins = "photos" if recipe.backbone.name == "frozen" else source  # any photographs will do
    assert name.startswith(f"{begins}-")
    method = recipe.algorithm.name  # earlier names of recipes stay what users type
    assert name.endswith(tuple(f"-{one}" for one in (method, *ALGORITHMS[method].aliases)))


@pytest.mark.parametrize("name", META)
def test_every_name_and_option_of_a_recipe_is_known(name):
    loaded = load(name)
    problems = Problems(loaded)
    assert make_learner(loaded.recipe.algorithm, problems) is not None
    assert make_named(loaded.recipe.backbone, BACKBONES, "backbone", problems) is not None
    assert problems.found == []


@pytest.mark.parametrize("name", [n for n in RECIPES if n.startswith(("glyphs-", "sinusoid-"))])
def test_a_resolved_recipe_reads_back_as_itself(name, tmp_path, cache):
    resolved = build_few_shot(load(name)).recipe
    file = tmp_path / "again.yaml"
    file.write_text(dump(resolved))
    assert build_few_shot(load(str(file))).recipe == resolved
    assert resolved.train.execution in ("loop", "vmap")  # auto is written out
    assert resolved.train.chunk >= 1


@pytest.mark.parametrize("name", [n for n, path in RECIPES.items() if load(n).recipe.expect])
def test_an_expected_score_is_what_the_committed_result_reached(name):
    expect = load(name).recipe.expect
    result = json.loads((ROOT / "benchmarks" / "results" / f"{name}.json").read_text())
    wanted = {"split": expect.split, "way": expect.way, "shot": expect.shot}
    wanted = {key: value for key, value in wanted.items() if value is not None}
    scores = [s for s in result["evaluate"] if all(s[k] == v for k, v in wanted.items())]
    assert scores, f"no evaluation of {wanted}"
    mode = "transductive" if expect.metric.endswith("_transductive") else "inductive"
    value = scores[0][mode]["mean"]
    assert expect.min is None or expect.min <= value
    assert expect.max is None or value <= expect.max


def test_what_recipes_are_reported_to_reach_is_what_the_results_files_hold(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    made = importlib.import_module("measured")
    assert json.loads(made.TARGET.read_text()) == json.loads(json.dumps(made.measured()))
    assert len(made.measured()) > 30


@pytest.mark.parametrize("name", ["anil", "cavia", "fomaml", "maml_plus_plus", "meta_sgd"])
def test_what_a_header_says_of_maml_on_the_same_waves_is_what_was_measured(name):
    results = json.loads((ROOT / "benchmarks/results/sinusoid-10shot-maml.json").read_text())
    steps = {
        one["step"]: f"{one['mean']:.3f}"
        for found in results["evaluate"]
        if found["shot"] == 10 and found["adaptation_steps"] == 10
        for one in found["per_step"]
    }
    header = " ".join(load(f"sinusoid-10shot-{name}").header.split())
    found = re.search(
        r"\bMAML(?:, which adapts every layer,|:)? (?:has )?(0\.\d{3})"
        r"(?:(?: after 1)?,? (?:and )?(0\.\d{3}))?(?: and (0\.\d{3}))?",
        header,
    )
    assert found is not None
    said = [one for one in found.groups() if one is not None]
    assert said == [steps[1], steps[5], steps[10]][: len(said)]
