"""Models of tables and texts as files: encoding, scaling and the user's unit are inside."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from test_adapt_rows import number_model as number_model
from test_adapt_rows import text_model as text_model
from test_adapt_rows import write_texts, write_town
from test_export_example import run_alone

from metacli.data.tables.text import HashedText
from metacli.engine.adapt import adapt
from metacli.engine.export import export
from metacli.engine.exporting.files import chosen_format
from metacli.engine.exporting.texts import Words, weights_of
from metacli.engine.predict import predict


@pytest.fixture(autouse=True)
def _in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize("characters", [(3, 5), (0, 0)])
def test_words_are_weighed_in_the_graph_as_in_the_reader(characters: tuple[int, int]) -> None:
    texts = ["bread and butter", "the rain of a winter night", ""]
    encoder = HashedText(64, characters=characters).fit(texts)
    counts = np.concatenate([one.toarray() for one in encoder.counts(texts)], 1)
    expected = encoder.encode(texts).toarray()
    found = Words(encoder)(torch.from_numpy(counts.astype(np.float32))).numpy()
    np.testing.assert_allclose(found, expected, atol=1e-6)
    again = Words(encoder)(torch.from_numpy(expected / weights_of(encoder))).numpy()
    np.testing.assert_allclose(again, expected, atol=1e-6)


@pytest.mark.parametrize("format", ["pt2", pytest.param("onnx", marks=pytest.mark.slow)])
@pytest.mark.slow
def test_a_table_gives_numbers_in_the_users_unit(number_model: str, format: str) -> None:
    write_town(Path("mine.csv"), 11, rows=20)
    adapt(number_model, "mine.csv", out="mine")
    result = export("mine", format=format)
    assert result["parity"]["inputs"] == "the task's rows"
    assert result["parity"]["max_abs"] <= 1e-5
    assert [one["name"] for one in result["inputs"][0]["columns"]] == ["size", "kind"]
    assert result["outputs"][0]["values"] == "price"
    Path("new.csv").write_text("kind,size\nhouse,40\nflat,\ncastle,81.5\n")
    rows = predict("mine", "new.csv")["rows"]
    found = run_alone(result["example"], "new.csv")
    expected = [row["prediction"] for row in rows]
    assert [float(row[1]) for row in found] == pytest.approx(expected, rel=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("format", ["pt2", "onnx"])
def test_a_learner_of_tables_adapts_inside(number_model: str, format: str) -> None:
    write_town(Path("mine.csv"), 11, rows=20)
    write_town(Path("new.csv"), 11, rows=5)
    adapt(number_model, "mine.csv", out="mine")
    result = export(number_model, format=format, with_support=True, out=f"learner.{format}")
    found = run_alone(result["example"], "mine.csv", "price", "new.csv")
    expected = [row["prediction"] for row in predict("mine", "new.csv")["rows"]]
    assert [float(row[1]) for row in found] == pytest.approx(expected, rel=1e-3)


@pytest.mark.slow
def test_texts_start_from_their_features(text_model: str) -> None:
    adapt(text_model, write_texts(Path("mine.csv"), ("cheese", "football")), out="mine")
    result = export("mine", format="onnx")
    assert result["inputs"][0]["shape"] == ["batch", 256]
    assert "start" in Path(result["readme"]).read_text()
    texts = ["tell of football", "what cheese"]
    rows = predict("mine", "-", stdin="\n".join(texts).encode())["rows"]
    found = run_alone(result["example"], *texts)
    assert [row[:2] for row in found] == [
        [t, r["prediction"]] for t, r in zip(texts, rows, strict=True)
    ]
    shown = [max(row["probabilities"].values()) for row in rows]
    np.testing.assert_allclose([float(row[2]) for row in found], shown, atol=1e-4)
    learner = export(text_model, format="onnx", with_support=True, out="learner.onnx")
    again = run_alone(learner["example"], "mine.csv", *texts)
    assert [row[:2] for row in again] == [row[:2] for row in found]


@pytest.mark.parametrize(
    ("format", "out", "chosen"),
    [
        (None, "m.onnx", "onnx"),
        (None, "m.PT2", "pt2"),
        (None, "m.bin", "pt2"),
        (None, None, "pt2"),
        ("onnx", "m", "onnx"),
    ],
)
def test_the_format_is_that_in_which_the_file_ends(
    format: str | None, out: str | None, chosen: str
) -> None:
    assert chosen_format(format, out) == chosen
