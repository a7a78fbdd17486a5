"""Texts to numbers: scikit-learn's own hashing, and a frozen sentence encoder by name."""

from __future__ import annotations

import json
import sys
import types

import numpy as np
import pytest
from sklearn.feature_extraction.text import HashingVectorizer, TfidfTransformer

from metacli.data.tables import text
from metacli.data.tables.coded import CodedRows, encoder_of
from metacli.data.tables.text import HashedText, SentenceText, text_encoder
from metacli.errors import DataError, EnvironmentProblem

TEXTS = ("play some jazz", "Wake me up at six", "play the news", "été à Paris")


def test_features_are_those_of_scikit_learn() -> None:
    found = HashedText(128).encode(TEXTS).toarray()
    words = HashingVectorizer(n_features=64, ngram_range=(1, 2)).transform(TEXTS)
    characters = HashingVectorizer(n_features=64, analyzer="char_wb", ngram_range=(3, 5)).transform(
        TEXTS
    )
    wanted = np.concatenate([words.toarray(), characters.toarray()], 1) / np.sqrt(2)
    np.testing.assert_allclose(found, wanted, atol=1e-6)


def test_idf_is_that_of_scikit_learn_up_to_its_largest() -> None:
    fitted = HashedText(128).fit(TEXTS)
    counts = HashingVectorizer(n_features=64, ngram_range=(1, 2), norm=None).transform(TEXTS)
    counts.eliminate_zeros()  # n-grams of opposite sign in one place
    wanted = TfidfTransformer().fit(counts).idf_
    ratio = np.array(fitted.idf[:64]) / wanted
    np.testing.assert_allclose(ratio, ratio[0], atol=1e-4)


def test_a_text_is_read_by_itself_and_empty_ones_are_zero() -> None:
    encoder = HashedText(128).fit(TEXTS)
    alone = encoder.encode(TEXTS[1:2]).toarray()[0]
    np.testing.assert_array_equal(alone, encoder.encode(TEXTS).toarray()[1])
    assert not encoder.encode([" "]).toarray().any()


def test_an_encoder_survives_being_written() -> None:
    encoder = HashedText(128).fit(TEXTS)
    assert encoder_of(json.loads(json.dumps(encoder.as_dict()))) == encoder


def test_coded_rows_are_dense_where_they_are_asked_for() -> None:
    rows = CodedRows(TEXTS, HashedText(128))
    found = rows[np.array([[0, 3], [1, 1]])]
    assert found.shape == (2, 2, 128)
    np.testing.assert_array_equal(found[0, 1], HashedText(128).encode(TEXTS).toarray()[3])
    assert rows.read_by(HashedText(64)).shape == (4, 64)


@pytest.mark.parametrize("name", ["bert", "sentence:", "sentence"])
def test_an_encoder_that_is_not_there_is_named(name: str) -> None:
    with pytest.raises(DataError, match="sentence:NAME_OR_FOLDER"):
        text_encoder(name)


def test_without_the_extra_the_install_line_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sentence_transformers", None)
    monkeypatch.setattr(text, "_LOADED", {})
    with pytest.raises(EnvironmentProblem) as caught:
        text_encoder("sentence:all-MiniLM-L6-v2").fit(TEXTS)
    assert caught.value.exit_code == 4
    assert "metacli[text]" in (caught.value.hint or "")


def test_a_sentence_model_is_never_downloaded(monkeypatch: pytest.MonkeyPatch) -> None:
    class Fake:
        def __init__(self, name: str, *, local_files_only: bool, device: str) -> None:
            assert local_files_only
            if name == "unknown":
                raise OSError("no such model in the cache")

        def encode(self, texts: list[str], **options: object) -> np.ndarray:
            assert options["normalize_embeddings"]
            return np.array([[len(one), 1.0, 0.0] for one in texts])

    fake = types.SimpleNamespace(SentenceTransformer=Fake)
    monkeypatch.setitem(sys.modules, "sentence_transformers", fake)
    monkeypatch.setattr(text, "_LOADED", {})
    fitted = text_encoder("sentence:small").fit(TEXTS)
    assert fitted == SentenceText("small", 3)
    assert encoder_of(fitted.as_dict()).encode(["ab"]).tolist() == [[2.0, 1.0, 0.0]]
    with pytest.raises(EnvironmentProblem, match="no such model"):
        text_encoder("sentence:unknown").fit(TEXTS)


def test_words_that_are_often_in_a_text_count_by_their_logarithm():
    encoder = HashedText(64, words=(1, 1), characters=(0, 0), sublinear=True)
    once, thrice = encoder.encode(["red fox"]).toarray(), encoder.encode(["red red red fox"])
    ratio = np.sort(np.abs(thrice.toarray()[0]))[-2:]
    assert ratio[1] / ratio[0] == pytest.approx(1 + np.log(3), rel=1e-5)
    assert np.sort(np.abs(once[0]))[-2:] == pytest.approx([0.5**0.5] * 2)
    assert HashedText.from_dict(encoder.as_dict()) == encoder
    assert "sublinear" not in HashedText(64).as_dict()  # as models of before have it
