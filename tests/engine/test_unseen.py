"""A model on data that it was not trained on: read as the model reads, never what it saw."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tiny_models import saved, tiny_model, tiny_source

from metacli.data.cache.store import write_stored
from metacli.data.catalogue.cifar import things
from metacli.engine.evaluate import evaluate
from metacli.engine.models.model import FewShotModel
from metacli.errors import DataError

QUICK: dict[str, Any] = {"way": 3, "shot": 2, "query": 2, "episodes": 6, "device": "cpu"}


@pytest.fixture
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Ten digits and a hundred things, four of a class; pictures of a class are all equal."""
    cache = tmp_path / "cache"
    rng = np.random.Generator(np.random.PCG64(2))
    blocks = rng.integers(0, 256, (10, 1, 4, 4), np.uint8).repeat(7, 2).repeat(7, 3)
    store(cache / "mnist", [str(n) for n in range(10)], blocks.repeat(4, 0), (1, 28, 28))
    colours = rng.integers(0, 256, (100, 3), np.uint8)
    names = [one.name for one in things()]
    store(cache / "cifar-fs", names, colours.repeat(4, 0)[:, :, None, None], (3, 32, 32))
    monkeypatch.setenv("METACLI_CACHE", str(cache))
    monkeypatch.chdir(tmp_path)
    return cache


def store(
    folder: Path, classes: list[str], pixels: np.ndarray, shape: tuple[int, int, int]
) -> None:
    folder.mkdir(parents=True)
    images = np.broadcast_to(pixels, (len(pixels), *shape)).copy()
    write_stored(folder, images, [(name, 4) for name in classes], "ab" * 32)


def trained_on(source: str, shape: tuple[int, int, int] = (3, 32, 32)) -> FewShotModel:
    model = tiny_model(shape=shape)
    provenance = {"recipe": "tiny", "data": {"source": source, "digest": "ab"}}
    recipe = model.recipe
    data = recipe.data.model_copy(update={"source": source})
    return replace(model, recipe=recipe.model_copy(update={"data": data}), provenance=provenance)


@pytest.mark.parametrize("shape", [(1, 28, 28), (1, 16, 16), (3, 20, 20)])
def test_digits_are_read_in_the_size_and_colours_of_the_model(
    shape: tuple[int, int, int], own_cache: Path, tmp_path: Path
) -> None:
    result = evaluate(saved(tiny_model(shape=shape), tmp_path / "model"), "mnist", **QUICK)
    assert result["mean"] == 1.0  # pictures of a class are equal, so each is its class's mean
    assert (result["data"], result["split"], result["way"]) == ("mnist", "test", 3)


def test_models_of_different_sizes_meet_the_same_episodes(own_cache: Path, tmp_path: Path) -> None:
    lines = []
    for name, shape in (("small", (1, 16, 16)), ("large", (3, 20, 20))):
        result = evaluate(saved(tiny_model(shape=shape), tmp_path / name), "mnist", **QUICK)
        lines.append(json.loads(Path(result["scores"]).read_text().splitlines()[0]))
    assert lines[0]["units"] == lines[1]["units"]


def test_colour_images_are_read_by_a_model_of_grey_ones(own_cache: Path, tmp_path: Path) -> None:
    path = saved(tiny_model(shape=(1, 16, 16)), tmp_path / "model")
    assert evaluate(path, "cifar-fs", **QUICK)["mean"] > 0.5


@pytest.mark.parametrize(("trained", "asked"), [("cifar-fs", "fc100"), ("fc100", "cifar-fs")])
def test_a_class_that_was_trained_on_under_another_name_of_the_data_is_refused(
    trained: str, asked: str, own_cache: Path, tmp_path: Path
) -> None:
    path = saved(trained_on(trained), tmp_path / "model")
    with pytest.raises(DataError, match="of split test were trained on: ") as caught:
        evaluate(path, asked, **QUICK)
    assert caught.value.code == "data.seen_class"
    assert caught.value.hint == f"it has the images of {trained} in other splits"
    assert evaluate(path, trained, **QUICK)["episodes"] == 6


def test_a_model_of_numbers_takes_no_images(own_cache: Path, tmp_path: Path) -> None:
    path = saved(tiny_source(), tmp_path / "model")
    with pytest.raises(DataError, match="the data are images and the model takes numbers"):
        evaluate(path, "mnist", **QUICK)


def test_a_model_of_images_takes_no_waves(own_cache: Path, tmp_path: Path) -> None:
    path = saved(tiny_model(), tmp_path / "model")
    with pytest.raises(DataError, match="the data are sine waves and the model takes images"):
        evaluate(path, "sinusoid", **QUICK)
