"""Hashes of n-grams are scikit-learn's, for texts of every kind."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.feature_extraction.text import HashingVectorizer
from sklearn.utils import murmurhash3_32

from metacli.data.tables.hashing import characters, counted, murmur, words

TEXTS = (
    *("play some jazz", "Wake me up at SIX", "a", "", "  \t\n ", "été à Paris", "你好 世界"),
    *("don't  stop\n now", "x" * 300, "İstanbul ẞ", "one  two   three", "a b c dd ee"),
)


@pytest.mark.parametrize("span", [(1, 1), (1, 2), (2, 3)])
def test_words_are_those_of_scikit_learn(span: tuple[int, int]) -> None:
    wanted = HashingVectorizer(n_features=128, ngram_range=span, norm=None).transform(TEXTS)
    found = counted(TEXTS, words, span, 128)
    np.testing.assert_array_equal(found.toarray(), wanted.toarray())


@pytest.mark.parametrize("span", [(1, 1), (3, 5), (2, 9)])
def test_characters_are_those_of_scikit_learn(span: tuple[int, int]) -> None:
    other = HashingVectorizer(n_features=128, analyzer="char_wb", ngram_range=span, norm=None)
    found = counted(TEXTS, characters, span, 128)
    np.testing.assert_array_equal(found.toarray(), other.transform(TEXTS).toarray())


@settings(max_examples=60, deadline=None)
@given(st.lists(st.text(alphabet=st.characters(exclude_categories=["Cs"])), max_size=20))
def test_the_hash_is_murmur_of_32_bits(texts: list[str]) -> None:
    wanted = [murmurhash3_32(one, seed=0) for one in texts]
    assert murmur(texts).tolist() == wanted
