"""Every learner of the table and every backbone can be exported and says what PyTorch says."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tiny_models import adapted_model, saved, tiny_model

from metacli.algorithms import ALGORITHMS, names
from metacli.engine.export import export
from metacli.engine.models.model import FewShotModel

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("one_thread")]
FORMATS = ("pt2", "onnx")
CLASSIFIERS = [
    name for name in names("meta") if "classification" in ALGORITHMS[name].learner().kinds
]
BACKBONES: list[dict[str, Any]] = [
    {"name": "resnet12", "widths": [4, 4, 8, 8]},
    {"name": "wrn28_10", "depth": 10, "width": 1},
    {"name": "torchvision", "arch": "shufflenet_v2_x1_0"},
    {"name": "conv4", "width": 4, "norm": "task"},
]


def with_own_numbers(model: FewShotModel) -> FewShotModel:
    own, state = model.learner().init(model.problem(), model.params)
    return replace(model, params={**model.params, **own}, state=state)


def parity(model: FewShotModel, folder: Path, format: str) -> float:
    name = saved(adapted_model(with_own_numbers(model)), folder)
    result = export(name, format=format, out=str(folder.parent / f"file.{format}"))
    assert result["outputs"][0]["shape"] == ["batch", 3]
    assert result["parity"]["tolerance"] < 1e-4  # more than 1e-5 only where float32 is no better
    return result["parity"]["max_abs"]


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("name", CLASSIFIERS)
def test_a_learner_of_the_table(tmp_path: Path, name: str, format: str) -> None:
    algorithm = {"name": name, **ALGORITHMS[name].preset}
    assert parity(tiny_model(algorithm), tmp_path / "m", format) <= 1e-5


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("classifier", ["euclidean", "logistic", "ridge"])
def test_a_classifier_of_pretraining(tmp_path: Path, classifier: str, format: str) -> None:
    model = tiny_model({"name": "pretrain", "classifier": classifier, "classes": 7})
    assert parity(model, tmp_path / "m", format) <= 1e-5


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("backbone", BACKBONES, ids=lambda one: one["name"])
def test_a_backbone(tmp_path: Path, backbone: dict[str, Any], format: str) -> None:
    recipe = tiny_model().recipe
    named = type(recipe.backbone)(**backbone)
    model = replace(tiny_model(), recipe=recipe.model_copy(update={"backbone": named}))
    model = replace(model, params=model.problem().init(0))
    deep = backbone["name"] != "conv4"
    assert parity(model, tmp_path / "m", format) <= (1e-4 if deep else 1e-5)


def test_there_are_learners_to_export() -> None:
    assert {"maml", "protonet", "r2d2", "matchingnet", "pretrain"} <= set(CLASSIFIERS)
