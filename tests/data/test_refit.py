"""Encoders fitted again to a few of the rows that they were fitted to."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from metacli.data.tables.fitting import fit_encoding
from metacli.data.tables.joined_text import JoinedText
from metacli.data.tables.reader import Table, read_table
from metacli.data.tables.refit import refit
from metacli.data.tables.static_text import StaticText
from metacli.data.tables.text import HashedText

TEXTS = [
    *("book a flight to rome", "a flight to oslo please", "wake me at seven", "play a song"),
    *("play some jazz please", "set an alarm for six", "", "book book book"),
]
SOME = [0, 3, 4, 6]


@pytest.mark.parametrize(
    "plain", [HashedText(512, sublinear=True), HashedText(256, characters=(0, 0))]
)
def test_ngrams_are_weighed_as_if_the_other_texts_had_never_been_read(plain: HashedText) -> None:
    whole, part = plain.fit(TEXTS), plain.fit([TEXTS[at] for at in SOME])
    rows = whole.encode(TEXTS).toarray()
    found = refit(whole, rows[SOME])(rows)
    np.testing.assert_allclose(found, part.encode(TEXTS).toarray(), atol=1e-6)
    assert np.abs(found - rows).max() > 0.01


def test_all_rows_change_nothing() -> None:
    whole = HashedText(512).fit(TEXTS)
    rows = whole.encode(TEXTS).toarray()
    np.testing.assert_allclose(refit(whole, rows)(rows), rows, atol=1e-6)


def test_meaning_stays_where_spelling_is_weighed_again() -> None:
    plain = JoinedText(StaticText(), HashedText(512))
    whole, part = plain.fit(TEXTS), plain.fit([TEXTS[at] for at in SOME])
    rows = whole.encode(TEXTS)
    np.testing.assert_allclose(refit(whole, rows[SOME])(rows), part.encode(TEXTS), atol=1e-6)


@pytest.fixture
def table(tmp_path: Path) -> Table:
    lines = [
        "size,colour,day",
        *(f"{3 * n * n},{'rb'[n % 2]},2024-{1 + n % 12:02}-03" for n in range(9)),
    ]
    (tmp_path / "t.csv").write_text("\n".join([*lines, ",r,2024-05-03"]) + "\n")
    return read_table(tmp_path / "t.csv")


def test_columns_have_mean_0_and_scale_1_over_the_rows_that_count(table: Table) -> None:
    kinds = {"size": "numeric", "colour": "categorical", "day": "date"}
    whole = fit_encoding([table], kinds)  # type: ignore[arg-type]
    rows = whole.encode(table)
    some = np.array([1, 2, 5, 9])
    found = refit(whole, rows[some])(rows)
    sizes = np.array([3.0, 12.0, 75.0])
    expected = (3.0 * np.arange(9) ** 2 - sizes.mean()) / sizes.std()
    np.testing.assert_allclose(found[:9, 0], expected, rtol=1e-5)
    assert found[9, 0] == 0  # missing
    assert (found[:, 1:4] == rows[:, 1:4]).all()  # that it is missing, and words
    np.testing.assert_allclose(refit(whole, rows)(rows), rows, atol=1e-6)
