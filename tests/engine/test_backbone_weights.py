"""A backbone's file of weights is looked at before anything is written."""

from __future__ import annotations

from pathlib import Path

import pytest
from tiny_models import write_classes

from metacli.engine.training.few_shot.build import build_few_shot
from metacli.errors import RecipeError
from metacli.schema.load import load as load_recipe

RECIPE = """version: 1
kind: meta
data: {source: pool, size: 15}
episodes: {way: 2, shot: 2, query: 2}
backbone: {name: torchvision, arch: shufflenet_v2_x1_0}
algorithm: {name: protonet}
train: {steps: 1}
"""


@pytest.fixture
def recipe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cache: Path) -> str:
    monkeypatch.chdir(tmp_path)
    Path("tiny.yaml").write_text(RECIPE)
    write_classes(Path("pool/train"), {"ant": 4, "bee": 4})
    write_classes(Path("pool/val"), {"cow": 4, "dog": 4}, seed=1)
    return "tiny.yaml"


@pytest.mark.parametrize(
    ("name", "words"), [("w.pth", "a pickle can run any code"), ("w.safetensors", "no such file")]
)
def test_weights_that_cannot_be_read_are_a_recipe_error(recipe: str, name: str, words: str) -> None:
    with pytest.raises(RecipeError, match=words) as caught:
        build_few_shot(load_recipe(recipe, [f"backbone.weights={name}"]))
    assert caught.value.code == "recipe.weights"


@pytest.mark.parametrize("name", ["conv4", "resnet12"])
def test_images_that_are_too_small_for_a_backbone_are_a_recipe_error(
    recipe: str, name: str
) -> None:
    Path("tiny.yaml").write_text(RECIPE.replace(", arch: shufflenet_v2_x1_0", ""))
    with pytest.raises(RecipeError, match="leaves nothing of images of 15x15"):
        build_few_shot(load_recipe(recipe, [f"backbone.name={name}"]))
