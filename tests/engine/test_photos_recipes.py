"""Meta-training on the features of a frozen encoder: computed once, the encoder left out of states
and put into the model, which adapts, predicts and exports like any other."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from metacli.data.few_shot.feature_rows import FeatureRows
from metacli.data.images import read_image
from metacli.engine.adapt import adapt
from metacli.engine.encoders.feature_cache import FeatureCache
from metacli.engine.evaluate import evaluate
from metacli.engine.export import export
from metacli.engine.meta_train import meta_train
from metacli.engine.models.folder import load
from metacli.engine.predict import predict
from metacli.engine.report import report
from metacli.engine.training.few_shot.sources import make_source
from metacli.schema.load import load as load_recipe

pytestmark = [pytest.mark.usefixtures("one_thread", "cache"), pytest.mark.slow]
SMALL = [
    *("episodes.way=2", "episodes.shot=1", "episodes.query=1", "train.steps=3", "train.lr=0.01"),
    *("evaluate.every=3", "evaluate.episodes=2", "evaluate.way=2", "evaluate.query=1"),
    *("backbone.features=b6", "backbone.rank=4"),
]
METHODS = ("protonet", "r2d2", "maml", "anil", "pmf")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two colours to train, two to validate, two to test; two images each, wider than high."""
    root, rng = tmp_path_factory.mktemp("photos"), np.random.default_rng(0)
    for split in ("train", "val", "test"):
        for label in ("one", "two"):
            place = root / split / f"{split} {label}"
            place.mkdir(parents=True)
            tone = rng.integers(0, 200, 3)
            for number in range(3):
                pixels = tone + rng.integers(0, 50, (60, 90, 3))
                Image.fromarray(pixels.astype(np.uint8)).save(place / f"{number}.png")
    return root


@pytest.fixture(scope="module")
def runs(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("runs")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("METACLI_CACHE", str(root / "cache"))
        for name in METHODS:
            words = [f"data.source={folder}", *SMALL]
            meta_train(f"photos-{name}", words, out=root / name, device="cpu")
    return {name: root / name for name in METHODS}


@pytest.mark.parametrize("method", METHODS)
def test_a_recipe_trains_what_stands_on_the_encoder(method: str, runs: dict[str, Path]) -> None:
    document = json.loads((runs[method] / "model/model.json").read_text())
    assert document["encoder"]["name"] == "efficientnet-lite0"
    assert document["input"]["shorter"] == 256
    states = list((runs[method] / "state").rglob("*.safetensors"))
    assert states
    assert all(path.stat().st_size < 200_000 for path in states)
    moved = load(runs[method] / "model").params
    if method != "anil":
        assert float(moved["backbone.projection.up"].abs().max()) > 0


@pytest.mark.parametrize("method", METHODS)
def test_its_model_is_evaluated_adapted_and_exported(
    method: str, runs: dict[str, Path], folder: Path, tmp_path: Path
) -> None:
    scored = evaluate(runs[method], episodes=2, way=2, shot=1, query=1, device="cpu")
    assert {"untrained", "features"} <= set(scored["baselines"])
    adapt(runs[method], folder / "test", out=tmp_path / "mine", compare=False, device="cpu")
    rows = predict(tmp_path / "mine", folder / "test/test one", device="cpu")["rows"]
    assert len(rows) == 3
    result = export(tmp_path / "mine", out=tmp_path / "mine.pt2")
    assert result["parity"]["inputs"] == "the task's images"
    assert result["parity"]["max_abs"] <= 1e-4


def test_a_report_shows_the_images_and_not_their_features(
    runs: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("METACLI_CACHE", str(runs["protonet"].parent / "cache"))
    report(runs["protonet"], out=tmp_path / "page.html", device="cpu")
    assert (tmp_path / "page.html").read_text().count("data:image/png") > 3


def test_features_are_of_each_image_as_the_network_sees_it_and_computed_once(
    runs: dict[str, Path], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("METACLI_CACHE", str(runs["protonet"].parent / "cache"))
    recipe = load_recipe(str(runs["protonet"])).recipe
    source = make_source(recipe, "test", way=2, shot=1, query=1, seed=0)
    store = source.pool.store
    assert isinstance(store, FeatureRows)
    model = load(runs["protonet"] / "model")
    path = folder / "test/test one/0.png"
    seen = torch.from_numpy(read_image(path, model.inputs.image()))[None]
    names = source.pool.classes
    row = source.pool.rows[names.index("test one")][:1]
    found = model.problem().embed(model.params, torch.from_numpy(store[row]))
    torch.testing.assert_close(found, model.problem().embed(model.params, seen), atol=1e-4, rtol=0)
    monkeypatch.setattr(FeatureCache, "write", lambda *_: 1 / 0)  # all are known
    again = make_source(recipe, "test", way=2, shot=1, query=1, seed=0)
    np.testing.assert_array_equal(again.pool.store[row], store[row])
