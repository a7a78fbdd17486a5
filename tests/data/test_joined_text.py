"""Meaning and spelling of texts side by side."""

from __future__ import annotations

import numpy as np
import pytest

from metacli.data.tables.coded import encoder_of
from metacli.data.tables.joined_text import JoinedText
from metacli.data.tables.static_text import StaticText
from metacli.data.tables.text import HashedText

TEXTS = ("book a flight", "book a hotel", "what is the weather")
ENCODER = JoinedText(StaticText(), HashedText(64), share=0.5).fit(TEXTS)


def test_each_half_is_its_encoders_and_has_its_length() -> None:
    found = ENCODER.encode((*TEXTS, ""))
    assert found.shape == (4, ENCODER.width)
    meaning, spelled = found[:, :256], found[:, 256:]
    np.testing.assert_allclose(np.linalg.norm(meaning, axis=1), [1, 1, 1, 0], atol=1e-6)
    np.testing.assert_allclose(np.linalg.norm(spelled, axis=1), [0.5, 0.5, 0.5, 0], atol=1e-6)
    np.testing.assert_allclose(spelled, 0.5 * ENCODER.hashed.encode((*TEXTS, "")).toarray())
    wanted = StaticText().encode(TEXTS)
    wanted = wanted / np.linalg.norm(wanted, axis=1, keepdims=True)
    np.testing.assert_allclose(meaning[:3], wanted, atol=1e-6)


def test_it_comes_back_from_plain_data() -> None:
    assert encoder_of(ENCODER.as_dict()) == ENCODER
    with pytest.raises(ValueError, match="a static and a hashed one"):
        encoder_of({"name": "joined", "share": 0.5})
