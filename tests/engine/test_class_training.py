"""A learner of all classes at once, from a recipe to its adapted model."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from tiny_models import write_classes

from metacli.data.few_shot.class_batches import ClassBatches
from metacli.data.few_shot.episodes import ClassEpisodes
from metacli.engine.adapt import adapt
from metacli.engine.meta_train import meta_train
from metacli.engine.models.folder import load as load_model
from metacli.engine.training.few_shot.build import build_few_shot
from metacli.engine.training.few_shot.sources import batches_for, make_source
from metacli.errors import RecipeError
from metacli.schema.load import load as load_recipe

pytestmark = pytest.mark.usefixtures("cache", "one_thread")

RECIPE = """version: 1
kind: meta
data: {source: pool, size: 16}
episodes: {way: 3, shot: 2, query: 2}
backbone: {name: conv4, width: 8}
algorithm: {name: pretrain}
train: {steps: 3, meta_batch: 2, lr: 1e-3}
evaluate: {every: 3, episodes: 2}
"""


@pytest.fixture
def recipe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.chdir(tmp_path)
    Path("tiny.yaml").write_text(RECIPE)
    names = ("ant", "bee", "cow", "dog", "eel")
    write_classes(Path("pool/train"), dict.fromkeys(names, 4))
    write_classes(Path("pool/val"), dict.fromkeys(("fox", "gnu", "hen", "ibis"), 4), seed=1)
    return "tiny.yaml"


def test_the_recipe_is_resolved_to_the_number_of_classes_of_its_data(recipe: str) -> None:
    built = build_few_shot(load_recipe(recipe))
    assert built.learner.classes == built.deployed.classes == 5
    assert built.recipe.algorithm.options["classes"] == 5
    assert built.problem.init(0)["head.weight"].shape == (5, built.problem.features)
    again = build_few_shot(load_recipe(recipe, ["algorithm.classes=5"]))
    assert again.learner == built.learner


def test_a_number_of_classes_that_the_data_do_not_have_is_a_recipe_error(recipe: str) -> None:
    with pytest.raises(RecipeError) as caught:
        build_few_shot(load_recipe(recipe, ["algorithm.classes=11"]))
    assert caught.value.code == "recipe.mismatch"
    assert caught.value.message == "the training data have 5 classes, algorithm.classes is 11"


def test_only_such_a_learner_gets_the_labels_of_the_pool(recipe: str) -> None:
    built = build_few_shot(load_recipe(recipe))
    source = make_source(built.recipe, "train")
    assert batches_for(built.learner, source) == ClassBatches(source)  # type: ignore[arg-type]
    other = build_few_shot(load_recipe(recipe, ["algorithm.name=protonet"]))
    assert isinstance(batches_for(other.learner, source), ClassEpisodes)


def test_a_run_trains_and_its_model_adapts_to_another_number_of_classes(recipe: str) -> None:
    words = ["algorithm.classifier=logistic"]
    result = meta_train(recipe, words, out="run", device="cpu")
    assert result["status"] == "finished"
    model = load_model(Path("run/model"))
    assert model.params["head.weight"].shape[0] == 5
    adapt("run/model", "pool/val", out="mine", device="cpu")
    mine = load_model(Path("mine"))
    assert mine.params["head.weight"].shape == (4, mine.problem().features)
    logits = mine.learner().predict(
        mine.problem(), mine.params, torch.zeros(2, *mine.inputs.shape, dtype=torch.uint8)
    )
    assert logits.shape == (2, 4)


def test_it_is_a_baseline_of_an_episodic_learner_with_a_head_of_all_classes(recipe: str) -> None:
    words = ["algorithm.name=protonet", "baselines=[pretrain]"]
    meta_train(recipe, words, out="run", device="cpu")
    model = load_model(Path("run/baselines/pretrain"))
    assert model.params["head.weight"].shape[0] == 5
