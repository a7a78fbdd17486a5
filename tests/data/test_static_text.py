"""Means of pretrained token embeddings, read without the package's own code."""

from __future__ import annotations

import inspect
import subprocess
import sys

import numpy as np
import pytest

from metacli.data.tables.coded import encoder_of
from metacli.data.tables.static_text import StaticText, table_of, tokenizer_of

TEXTS = ("turn on the light, please", "Grüße aus Köln", "", "a")


def test_a_text_is_the_mean_of_the_embeddings_of_its_tokens() -> None:
    encoder = StaticText()
    found = encoder.encode(TEXTS)
    assert (found.dtype, found.shape) == (np.float32, (4, 256))
    table, tokenizer = table_of("wordllama"), tokenizer_of("wordllama")
    for text, row in zip(TEXTS, found, strict=True):
        ids = tokenizer.encode(text, add_special_tokens=False).ids
        wanted = sum((table[one].astype(np.float64) for one in ids), np.zeros(256))
        np.testing.assert_allclose(row, wanted / max(len(ids), 1), atol=1e-6)
    assert found[3].any()


def test_numbers_are_those_of_the_package_itself() -> None:
    inference = pytest.importorskip("wordllama.inference", reason="the compiled wheel is missing")
    if "config" in inspect.signature(inference.WordLlamaInference).parameters:
        pytest.skip("wordllama 0.2 wants its own configuration beside the two")
    theirs = inference.WordLlamaInference(table_of("wordllama"), tokenizer_of("wordllama"))
    given = [text for text in TEXTS if text]
    try:
        wanted = theirs.embed(given)
    finally:
        tokenizer_of("wordllama").no_padding()  # which theirs turned on
    np.testing.assert_allclose(StaticText().encode(given), wanted, atol=1e-5)


def test_near_meanings_are_near_although_no_word_is_shared() -> None:
    near, far, first = StaticText().encode(("purchase an automobile", "boil an egg", "buy a car"))
    cosine = lambda a, b: a @ b / np.linalg.norm(a) / np.linalg.norm(b)  # noqa: E731
    assert cosine(first, near) > cosine(first, far) + 0.3


def test_the_order_and_the_other_texts_do_not_matter() -> None:
    encoder = StaticText()
    np.testing.assert_array_equal(encoder.encode(TEXTS[::-1])[::-1], encoder.encode(TEXTS))
    np.testing.assert_array_equal(encoder.encode(TEXTS[:1] * 1500)[1499], encoder.encode(TEXTS)[0])


def test_a_model_names_its_encoder_and_gets_it_back() -> None:
    encoder = StaticText()
    assert encoder_of(encoder.as_dict()) == encoder
    assert encoder.fit(TEXTS) is encoder
    with pytest.raises(ValueError, match="no encoder"):
        encoder_of({"name": "static", "encoder": "other"})


def test_the_package_is_not_imported() -> None:
    code = (
        "from metacli.data.tables.static_text import StaticText\n"
        "StaticText().encode(['a text'])\n"
        "import sys; sys.exit('wordllama' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False, timeout=60).returncode == 0
