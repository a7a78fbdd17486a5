"""A network of timm or sentence-transformers, in a folder as the hub lays it out, as a source."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from metacli.engine.adapt import adapt
from metacli.engine.adapting.choosing.options import SENTENCES, options_for
from metacli.engine.adapting.hub_source import open_hub_source
from metacli.engine.adapting.request import Request
from metacli.engine.fetch import fetch
from metacli.engine.models.folder import load
from metacli.engine.predict import predict
from metacli.engine.results.adapt import ClassScore
from metacli.errors import BundleError, RecipeError

pytestmark = pytest.mark.usefixtures("one_thread", "cache")
ARCH = "test_resnet"  # timm's own, of a few hundred thousand parameters
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Path:
    timm = pytest.importorskip("timm", reason="timm is in the extra [timm]")
    folder = tmp_path_factory.mktemp("hub") / "network"
    folder.mkdir()
    torch.manual_seed(0)
    made = timm.create_model(ARCH, pretrained=False)
    save_file(dict(made.state_dict()), folder / "model.safetensors")
    cfg = {"input_size": [3, 64, 64], "crop_pct": 0.8, "mean": [0.5] * 3, "std": [0.25] * 3}
    (folder / "config.json").write_text(json.dumps({"architecture": ARCH, "pretrained_cfg": cfg}))
    return folder


@pytest.fixture(scope="module")
def task(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder, rng = tmp_path_factory.mktemp("task"), np.random.default_rng(0)
    for label, low in (("dark", 0), ("light", 128)):
        (folder / label).mkdir()
        for number in range(3):
            pixels = rng.integers(low, low + 128, (90, 70, 3), np.uint8)
            Image.fromarray(pixels).save(folder / label / f"{number}.png")
    return folder


def test_its_features_are_those_of_timm_on_the_same_pixels(network: Path) -> None:
    import timm

    model = open_hub_source(str(network), CPU).model
    assert (model.inputs.shape, model.inputs.shorter) == ((3, 64, 64), 80)
    theirs = timm.create_model(ARCH, pretrained=False, num_classes=0).eval()
    weights = {k.removeprefix("backbone.network."): v for k, v in model.params.items()}
    theirs.load_state_dict({k: weights[k] for k in weights if k in theirs.state_dict()}, False)
    x = torch.randint(0, 256, (2, 3, 64, 64), dtype=torch.uint8)
    expected = theirs((x / 255 - 0.5) / 0.25)
    torch.testing.assert_close(model.problem().embed(model.params, x), expected)


def test_it_is_adapted_saved_and_opened_without_its_folder(
    network: Path, task: Path, tmp_path: Path
) -> None:
    result = adapt(str(network), task, out=tmp_path / "mine", compare=False, device="cpu")
    assert result["method"] == "logistic"
    before = predict(tmp_path / "mine", task / "dark", device="cpu")["rows"]
    assert {one["prediction"] for one in before} <= {"dark", "light"}
    model = load(tmp_path / "mine")
    assert model.recipe.backbone.name == "timm"
    assert model.provenance["weights"]["file"] == "model.safetensors"


def test_its_network_is_kept_once_for_all_of_its_models_and_checked(
    network: Path, task: Path, tmp_path: Path, cache: Path
) -> None:
    for name in ("one", "two"):
        adapt(str(network), task, out=tmp_path / name, compare=False, device="cpu")
    adapt(str(network), task, out=tmp_path / "alone", compare=False, device="cpu", standalone=True)
    sizes = {path.parent.name: path.stat().st_size for path in tmp_path.rglob("weights.*")}
    assert sizes["one"] == sizes["two"] < sizes["alone"] / 10
    assert json.loads((tmp_path / "alone/model.json").read_text())["format"] == 1
    whole, alone = load(tmp_path / "one").params, load(tmp_path / "alone").params
    assert whole.keys() == alone.keys()
    assert all(torch.equal(whole[name], value) for name, value in alone.items())
    digest = json.loads((tmp_path / "one/model.json").read_text())["encoder"]["digest"]
    kept = cache / "encoders" / f"{digest}.safetensors"
    kept.write_bytes(kept.read_bytes()[:-4] + b"\0\0\1\0")
    with pytest.raises(BundleError, match="is damaged"):
        load(tmp_path / "one")
    kept.unlink()
    with pytest.raises(BundleError, match="not on this machine") as caught:
        load(tmp_path / "one")
    assert "--standalone" in (caught.value.hint or "")


def test_another_architecture_or_a_pickle_is_refused(network: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    settings = json.loads((network / "config.json").read_text())
    (other / "config.json").write_text(json.dumps(settings))
    (other / "pytorch_model.bin").write_bytes(b"\x80\x04.")
    with pytest.raises(BundleError, match=r"there is no model\.safetensors"):
        open_hub_source(str(other), CPU)
    save_file({"a": torch.zeros(1)}, other / "model.safetensors")
    with pytest.raises(BundleError, match="is missing"):
        open_hub_source(str(other), CPU)
    (other / "config.json").write_text(json.dumps({**settings, "architecture": "hf-hub:a/b"}))
    with pytest.raises(RecipeError, match="timm has no network"):
        open_hub_source(str(other), CPU)


def test_a_name_that_was_not_fetched_says_how(tmp_path: Path) -> None:
    with pytest.raises(BundleError) as caught:
        open_hub_source("timm/never.fetched", CPU)
    assert caught.value.hint == "metacli fetch timm/never.fetched"


@pytest.mark.slow
def test_sentences_of_minilm_are_adapted_offline(tmp_path: Path) -> None:
    pytest.importorskip("sentence_transformers", reason="in the extra [text]")
    pytest.importorskip("all_minilm_l6_v2", reason="in the extra [text]")
    fetch("minilm")
    table = tmp_path / "mine.csv"
    rows = ["will it rain,weather", "is it cold,weather", "play a song,music", "next track,music"]
    table.write_text("\n".join(["text,label", *rows]))
    adapt("minilm", table, out=tmp_path / "mine", compare=False)
    found = predict(tmp_path / "mine", "-", stdin=b"does it snow\nlouder music")["rows"]
    assert [one["prediction"] for one in found] == ["weather", "music"]


@pytest.mark.slow
def test_a_sentence_encoder_that_was_fetched_is_tried_where_there_is_time(tmp_path: Path) -> None:
    pytest.importorskip("sentence_transformers", reason="in the extra [text]")
    pytest.importorskip("all_minilm_l6_v2", reason="in the extra [text]")
    table = tmp_path / "mine.csv"
    places = ["rome", "oslo", "lima", "cairo"]
    kinds = {"weather": ("will it rain in {}", "{} is cold"), "food": ("soup of {}", "eat in {}")}
    rows = [
        f"{text.format(one)},{label}"
        for label, texts in kinds.items()
        for text in texts
        for one in places
    ]
    table.write_text("\n".join(["text,label", *rows]))
    fetch("minilm")
    assert SENTENCES not in {one.name for one in options_for(Request(table))}
    found = adapt(None, table, out=tmp_path / "mine", budget=300, compare=False, folds=2)
    assert found.choice is not None
    tried = {(one.source, one.method): one.value for one in found.choice.tried}
    named = adapt(SENTENCES, table, out=tmp_path / "named", compare=False, folds=2)
    assert isinstance(named.score, ClassScore)
    assert tried[SENTENCES, "logistic"] == pytest.approx(named.score.value, abs=0.2)


@pytest.mark.slow
def test_sentences_tell_numbers_too(tmp_path: Path) -> None:
    pytest.importorskip("sentence_transformers", reason="in the extra [text]")
    pytest.importorskip("all_minilm_l6_v2", reason="in the extra [text]")
    table = tmp_path / "mine.csv"
    words = ["awful", "poor", "fine", "great"]
    rows = [
        f"{word} food at place {at},{stars}.{at}"
        for at in range(3)
        for stars, word in enumerate(words)
    ]
    table.write_text("\n".join(["text,stars", *rows]))
    fetch("minilm")
    found = adapt(SENTENCES, table, target="stars", type="regression", out=tmp_path / "m")
    assert found.score.metric == "mae"
