"""Models on pretrained embeddings of words as files: the table is inside, the tokenizer beside."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
import torch
from test_export_example import run_alone

from metacli.data.tables.joined_text import JoinedText
from metacli.data.tables.static_text import StaticText
from metacli.data.tables.text import HashedText
from metacli.engine.adapt import adapt
from metacli.engine.export import export
from metacli.engine.exporting.texts import MADE_UP, Both, Tokens, Words, counts_of, token_numbers
from metacli.engine.predict import predict

SAID = {
    "weather": ("will it rain", "is it cold outside", "how hot is it today", "Wind tomorrow?"),
    "music": ("play a song", "louder please", "skip this track", "Some jazz, please!"),
}
ASKED = ["does it snow", "play the next track"]


@pytest.fixture
def table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cache: Path) -> Path:
    monkeypatch.chdir(tmp_path)
    with Path("mine.csv").open("w", newline="") as file:
        rows = [(text, label) for label, texts in SAID.items() for text in texts]
        csv.writer(file).writerows([("text", "label"), *rows])
    return Path("mine.csv")


def test_tokens_are_looked_up_in_the_graph_as_in_the_reader() -> None:
    encoder = StaticText()
    found = Tokens(encoder)(torch.from_numpy(token_numbers(encoder, [*MADE_UP, ""]))).numpy()
    np.testing.assert_allclose(found, encoder.encode([*MADE_UP, ""]), atol=1e-6)


def test_counts_that_are_damped_are_damped_in_the_graph() -> None:
    texts = ["a a a b", "bread and bread", ""]
    encoder = HashedText(64, sublinear=True).fit(texts)
    found = Words(encoder)(torch.from_numpy(counts_of(encoder, texts))).numpy()
    np.testing.assert_allclose(found, encoder.encode(texts).toarray(), atol=1e-6)


def test_both_are_joined_in_the_graph_as_in_the_reader() -> None:
    encoder = JoinedText(StaticText(), HashedText(64, sublinear=True).fit(MADE_UP))
    tokens, counts = token_numbers(encoder.static, MADE_UP), counts_of(encoder.hashed, MADE_UP)
    found = Both(encoder)(torch.from_numpy(tokens), torch.from_numpy(counts)).numpy()
    np.testing.assert_allclose(found, encoder.encode(MADE_UP), atol=1e-6)


@pytest.mark.parametrize(
    ("source", "format"),
    [
        ("texts", "pt2"),
        pytest.param("texts", "onnx", marks=pytest.mark.slow),
        pytest.param("texts+ngrams", "pt2", marks=pytest.mark.slow),
        pytest.param("texts+ngrams", "onnx", marks=pytest.mark.slow),
    ],
)
@pytest.mark.slow
def test_an_example_answers_as_predict_does(table: Path, source: str, format: str) -> None:
    adapt(source, table, out="mine", compare=False)
    result = export("mine", format=format)
    assert result["parity"]["inputs"] == "the task's rows"
    assert result["parity"]["max_abs"] <= 1e-5
    assert Path(f"mine.{format}.tokenizer.json").is_file()
    names = [one["name"] for one in result["inputs"]]
    assert names == (["tokens"] if source == "texts" else ["tokens", "counts"])
    rows = predict("mine", "-", stdin="\n".join(ASKED).encode())["rows"]
    found = run_alone(result["example"], *ASKED)
    assert [row[:2] for row in found] == [
        [text, row["prediction"]] for text, row in zip(ASKED, rows, strict=True)
    ]
    shown = [max(row["probabilities"].values()) for row in rows]
    np.testing.assert_allclose([float(row[2]) for row in found], shown, atol=1e-4)


def test_texts_are_made_up_where_the_task_is_gone(table: Path) -> None:
    adapt("texts", table, out="mine", compare=False)
    table.unlink()
    assert export("mine")["parity"]["inputs"] == "made-up texts"
