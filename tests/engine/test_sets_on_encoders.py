"""Sets of texts and photographs on the pretrained encoders that come with metacli."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from metacli.cli.app import main
from metacli.data.images import read_image
from metacli.engine.adapt import adapt
from metacli.engine.encoders.parameters import FROZEN
from metacli.engine.encoders.pool_features import SEES
from metacli.engine.encoders.pretrained import pretrained
from metacli.engine.evaluate import evaluate
from metacli.engine.export import export
from metacli.engine.meta_train import meta_train
from metacli.engine.predict import predict
from metacli.engine.sets.class_folder import load_adapted_classes, load_classes
from metacli.engine.storage.paths import cache_root
from metacli.errors import DataError, RecipeError

pytestmark = pytest.mark.usefixtures("one_thread", "cache")
SMALL = ["train.steps=2", "train.meta_batch=2", "evaluate.episodes=8", "algorithm.width=8"]
WORDS = {
    "meal": ("soup", "bread", "cheese", "apple", "rice", "honey"),
    "trip": ("train", "ticket", "airport", "suitcase", "hotel", "map"),
    "bill": ("bank", "payment", "card", "invoice", "loan", "money"),
}


def tables(folder: Path, number: int, rows: int = 6) -> Path:
    """A set of two tasks, as a table each."""
    draw = np.random.default_rng(number)
    folder.mkdir(parents=True)
    for task in ("first", "second"):
        with (folder / f"{task}.csv").open("w", newline="") as file:
            lines = csv.writer(file)
            lines.writerow(["text", "label"])
            for row in range(rows):
                label = list(WORDS)[row % len(WORDS)]
                said = draw.choice(WORDS[label], 2, replace=False)
                lines.writerow([f"about the {said[0]} and the {said[1]}", label])
    return folder


def texts(root: Path) -> Path:
    for number in range(4):
        tables(root / f"set{number}", number)
    return root


def photographs(folder: Path, count: int, seed: int) -> Path:
    """Two tasks of two classes of noise in colour."""
    draw = np.random.default_rng(seed)
    for task in ("left", "right"):
        for label, colour in (("warm", (220, 90, 30)), ("cold", (30, 90, 220))):
            place = folder / task / label
            place.mkdir(parents=True)
            for number in range(count):
                pixels = np.clip(np.array(colour) + draw.normal(0, 40, (40, 48, 3)), 0, 255)
                Image.fromarray(pixels.astype(np.uint8)).save(place / f"{number}.png")
    return folder


def test_sets_of_texts_stand_on_pretrained_words(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    run, mine = tmp_path / "run", tmp_path / "mine"
    assert main(["meta-train", str(texts(tmp_path / "sets")), "-o", str(run), *SMALL]) == 0
    assert "on the pretrained encoder wordllama" in capsys.readouterr().err
    model = load_classes(run / "model")
    assert model.recipe.data.options["encoder"] == "tokens"
    table = pretrained("wordllama", cache_root())["table"]
    assert torch.equal(model.problem().network.encoder.module.backbone.encoder.table, table)  # type: ignore[attr-defined]

    bare = replace(model, params={k: v for k, v in model.params.items() if FROZEN not in k})
    assert torch.equal(bare.problem().network.encoder.module.backbone.encoder.table, table)  # type: ignore[attr-defined]

    new = tables(tmp_path / "new", 9)
    result = adapt(str(run), str(new), out=str(mine))
    assert [one["name"] for one in result["tasks"]] == ["first", "second"]
    saved = json.loads((mine / "model.json").read_text())
    assert saved["encoder"]["name"] == "wordllama"
    assert (mine / "weights.safetensors").stat().st_size < table.nbytes / 4

    asked = tables(tmp_path / "asked", 10)
    rows = predict(str(mine), str(asked))["rows"]
    assert [row["task"] for row in rows] == ["first"] * 6 + ["second"] * 6
    assert evaluate(str(mine), data=str(asked))["metric"] == "accuracy"

    whole = tmp_path / "whole"
    adapt(str(run), str(new), out=str(whole), standalone=True)
    monkeypatch.setattr("metacli.engine.models.shared_encoder.pretrained", None)  # not asked for
    again = predict(str(whole), str(asked))["rows"]
    assert again == rows


@pytest.mark.parametrize("name", ["mmaml", "coupled", "mreptile"])
def test_a_learner_by_gradient_steps_adapts_on_pretrained_words(name: str, tmp_path: Path) -> None:
    """Among what it moves is a number alone, the scale of the features."""
    words = [*SMALL[:3], f"algorithm.name={name}", "algorithm.inner_steps=1"]
    meta_train(str(texts(tmp_path / "sets")), words, out=str(tmp_path / "run"))
    model = load_classes(tmp_path / "run" / "model")
    assert {name for name in model.params if name.startswith(FROZEN)} == {f"{FROZEN}table"}
    result = adapt(str(tmp_path / "run"), str(tables(tmp_path / "new", 9)), out=str(tmp_path / "m"))
    assert len(result["tasks"]) == 2


def test_hashed_texts_are_still_there_for_who_asks(tmp_path: Path) -> None:
    words = [*SMALL, "data.features=256"]
    meta_train(str(texts(tmp_path / "sets")), words, out=str(tmp_path / "run"))
    model = load_classes(tmp_path / "run" / "model")
    assert model.recipe.backbone is not None
    assert (model.recipe.backbone.name, model.facts.inputs.shape) == ("mlp", (256,))


def test_tokens_and_another_backbone_are_refused(tmp_path: Path) -> None:
    words = [*SMALL, "data.encoder=tokens", "backbone.name=mlp"]
    with pytest.raises(RecipeError, match="tokens and backbone words are for each other"):
        meta_train(str(texts(tmp_path / "sets")), words, out=str(tmp_path / "run"))


def test_sets_of_photographs_stand_on_features_of_a_frozen_encoder(tmp_path: Path) -> None:
    for number in range(4):
        photographs(tmp_path / "sets" / f"set{number}", 2, number)
    run, mine = tmp_path / "run", tmp_path / "mine"
    meta_train(str(tmp_path / "sets"), SMALL, out=str(run))
    model = load_classes(run / "model")
    assert model.facts.inputs.shape == (3, 224, 224)
    new = photographs(tmp_path / "new", 2, 9)
    adapt(str(run), str(new), out=str(mine))
    adapted = load_adapted_classes(mine)
    assert adapted.support.x.shape == (1, 2, 4, *model.example)
    image = read_image(new / "left" / "cold" / "0.png", SEES)
    encoder = model.problem().network.encoder  # type: ignore[attr-defined]
    with torch.no_grad():
        seen = encoder.module.backbone.encoder(torch.from_numpy(image[None]) / 255.0)
    assert torch.allclose(adapted.support.x[0, 0, 0], seen[0], atol=1e-4)

    rows = predict(str(mine), str(photographs(tmp_path / "asked", 1, 10)))["rows"]
    assert [row["task"] for row in rows] == ["left", "left", "right", "right"]
    assert (mine / "weights.safetensors").stat().st_size < 8e6


@pytest.mark.slow
def test_photographs_of_a_set_are_exported_with_their_encoder(tmp_path: Path) -> None:
    for number in range(4):
        photographs(tmp_path / "sets" / f"set{number}", 2, number)
    meta_train(str(tmp_path / "sets"), SMALL, out=str(tmp_path / "run"))
    adapt(
        str(tmp_path / "run"), str(photographs(tmp_path / "new", 2, 9)), out=str(tmp_path / "mine")
    )
    result = export(str(tmp_path / "mine"), out=str(tmp_path / "mine.onnx"), tolerance=1e-4)
    assert result["parity"]["source"] == "images of the data"
    assert result["parity"]["max_difference"] < 1e-4


def test_styles_that_are_drawn_anew_have_no_frozen_features(tmp_path: Path) -> None:
    path = tmp_path / "styles.yaml"
    path.write_text(
        "version: 1\nkind: meta-multitask\ndata: {source: glyphs, variant: styles}\n"
        "sets: {tasks: 2, way: 3, shot: 1, query: 2}\nbackbone: {name: frozen}\n"
        "algorithm: {name: mtnp}\ntrain: {steps: 1}\n"
    )
    with pytest.raises(DataError, match="every set draws styles of its own") as caught:
        meta_train(str(path), [], out=str(tmp_path / "run"))
    assert caught.value.hint == "backbone.name=conv4"
