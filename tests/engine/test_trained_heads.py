"""Heads that come with metacli: known files, the same numbers as the network that was trained, a
source and a candidate of `adapt`."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest
import torch

from metacli.data.catalogue.heads import FOLDER, HEADS, INTENTS, tensors_of
from metacli.data.tables.static_text import DOWN, UP, WEIGHTS, StaticText, table_of
from metacli.data.tables.token_numbers import TokenNumbers
from metacli.data.user.open import list_task
from metacli.engine.adapt import adapt
from metacli.engine.adapting.choosing.options import names_for
from metacli.engine.export import export
from metacli.engine.exporting.texts import Tokens, token_numbers
from metacli.engine.predict import predict
from metacli.errors import DataError
from metacli.nn.backbones.words import Words, WordsNet

TEXTS = ["where is my parcel", "Thanks!", "turn the lights off, please", ""]
MOST = 5 * 2**20  # bytes of all heads
ROWS = ["will it rain,weather", "is it cold,weather", "play a song,music", "next track,music"]


@pytest.fixture
def table(tmp_path: Path, cache: Path) -> Path:
    path = tmp_path / "mine.csv"
    path.write_text("\n".join(["text,label", *ROWS]))
    return path


@pytest.mark.parametrize("name", HEADS)
def test_a_head_is_the_file_that_is_known(name: str) -> None:
    content = files("metacli.data.catalogue").joinpath(FOLDER, f"{name}.safetensors").read_bytes()
    assert hashlib.sha256(content).hexdigest() == HEADS[name].sha256
    assert len(content) == HEADS[name].bytes
    assert "CC BY" in HEADS[name].licence


def test_all_heads_together_are_small() -> None:
    assert 0 < sum(one.bytes for one in HEADS.values()) <= MOST


def test_another_file_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(HEADS, "intents-1", replace(INTENTS, sha256="0" * 64))
    with pytest.raises(DataError, match="not the one that metacli knows"):
        tensors_of.__wrapped__("intents-1")


def test_a_reader_with_a_head_gives_the_features_of_the_network_that_was_trained() -> None:
    head = tensors_of("intents-1")
    module, _ = Words(rank=len(head[DOWN]), scale=1.0).build((16,))
    assert isinstance(module, WordsNet)
    module.encoder.table = torch.from_numpy(table_of("wordllama").copy())
    state = {"log_weight": WEIGHTS, "projection.down": DOWN, "projection.up": UP}
    module.load_state_dict({k: torch.from_numpy(head[v]) for k, v in state.items()}, strict=False)
    module.projection.log_scale.data.zero_()
    found = StaticText(head="intents-1").encode(TEXTS)
    ids = torch.from_numpy(TokenNumbers(length=16).encode(TEXTS))
    np.testing.assert_allclose(found, module(ids).detach().numpy(), atol=1e-5)
    assert float(np.abs(found - StaticText().encode(TEXTS)).max()) > 0.01


def test_a_head_is_in_the_graph_of_an_export() -> None:
    encoder = StaticText(head="intents-1")
    found = Tokens(encoder)(torch.from_numpy(token_numbers(encoder, TEXTS))).numpy()
    np.testing.assert_allclose(found, encoder.encode(TEXTS), atol=1e-5)


def test_a_reader_says_its_head_and_an_unknown_one_is_refused() -> None:
    reader = StaticText(head="intents-1")
    assert StaticText.from_dict(reader.as_dict()) == reader
    assert "head" not in StaticText().as_dict()
    with pytest.raises(ValueError, match="install a newer metacli"):
        StaticText.from_dict({**reader.as_dict(), "head": "intents-9"})


def test_a_head_is_a_source_and_its_model_an_export(table: Path, tmp_path: Path) -> None:
    adapt("intents", table, out=tmp_path / "mine", compare=False)
    found = predict(tmp_path / "mine", "-", stdin=b"does it snow\nplay music louder")["rows"]
    assert [one["prediction"] for one in found] == ["weather", "music"]
    assert export(tmp_path / "mine", out=tmp_path / "mine.pt2")["parity"]["max_abs"] <= 1e-5


def test_texts_are_tried_under_it(table: Path) -> None:
    assert {"intents", "intents+ngrams"} <= set(names_for(list_task(table)))
