"""Texts to numbers: hashed n-grams of words and characters, or a frozen sentence encoder.

Hashed n-grams are those of scikit-learn's `HashingVectorizer` (signed MurmurHash3), made by
`hashing` without it: nothing has to be fitted and a text that was never seen is read as well; `idf`
is its `TfidfTransformer`'s weight over the training texts and part of the model.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from metacli.data.plain import Plain, Record, flag_in, numbers_in, span_in, text_in, whole_in
from metacli.data.tables.hashing import characters, counted, words
from metacli.data.tables.token_numbers import TokenNumbers
from metacli.errors import DataError, EnvironmentProblem

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix
    from sentence_transformers import SentenceTransformer

DIGITS = 4  # of an idf, as it is stored
LONGEST = 32  # words or characters of one feature
MOST = 2**24  # features
HEAVIEST = 1e3  # weight of a feature; 1 as they are fitted now


@dataclass(frozen=True)
class HashedText:
    """Half of the features are n-grams of words, half of characters within words; each half has
    length 1 / √2.

    Args:
        features: F, an even number.
        words: from n to n. characters: likewise; (0, 0) leaves them out, and all features are
            words'.
        idf: [F] weights of the features; empty: all 1.
        sublinear: 1 + log n instead of n for a feature that is n times in a text.
    """

    features: int = 8192
    words: tuple[int, int] = (1, 2)
    characters: tuple[int, int] = (3, 5)
    idf: tuple[float, ...] = ()
    sublinear: bool = False

    @property
    def width(self) -> int:
        return self.features

    def encode(self, texts: Sequence[str]) -> csr_matrix:
        """A sparse float32 matrix [M, F]. A text without a character is all zeros."""
        return self.weigh(self.counts(texts))

    def weigh(self, halves: Sequence[csr_matrix]) -> csr_matrix:
        """The same from `counts`."""
        from scipy.sparse import diags, hstack

        if self.sublinear:
            halves = [damped(half) for half in halves]
        if self.idf:
            weights = np.split(np.array(self.idf), len(halves))
            halves = [half @ diags(own) for half, own in zip(halves, weights, strict=True)]
        scaled = [of_length_1(half) for half in halves]
        return (hstack(scaled, format="csr") / np.sqrt(len(halves))).astype(np.float32)

    def fit(self, texts: Sequence[str]) -> HashedText:
        """With the smoothed inverse document frequency of these texts:
        log((1 + M) / (1 + df)) + 1, the most being 1."""
        return self.fit_counts(self.counts(texts))

    def fit_counts(self, halves: Sequence[csr_matrix]) -> HashedText:
        """The same from `counts`."""
        found = np.concatenate([np.asarray((one != 0).sum(0)).ravel() for one in halves])
        return replace(self, idf=idf_of(found, halves[0].shape[0]))

    def counts(self, texts: Sequence[str]) -> list[csr_matrix]:
        """How often each feature is in each text: sparse [M, F / 2] of words and of characters."""
        alone = self.characters == (0, 0)
        size = self.features if alone else self.features // 2
        spelled = [counted(texts, words, self.words, size)]
        if not alone:
            spelled.append(counted(texts, characters, self.characters, size))
        return spelled

    def as_dict(self) -> dict[str, Plain]:
        return {
            "name": "hashed",
            "features": self.features,
            "words": list(self.words),
            "characters": list(self.characters),
            "idf": list(self.idf),
            **({"sublinear": True} if self.sublinear else {}),
        }

    @classmethod
    def from_dict(cls, value: Record) -> HashedText:
        """Raises ValueError: not what `as_dict` gives."""
        made = cls(
            whole_in(value, "features"),
            span_in(value, "words"),
            span_in(value, "characters"),
            numbers_in(value, "idf"),
            flag_in(value, "sublinear"),
        )
        spans = [made.words] if made.characters == (0, 0) else [made.words, made.characters]
        if any(not 1 <= low <= high <= LONGEST for low, high in spans):
            raise ValueError(f"n-grams of {spans}; wanted 1 to {LONGEST}")
        if not 2 <= made.features <= MOST or made.features % len(spans):
            raise ValueError(f"{made.features} features in {len(spans)} parts")
        if made.idf and len(made.idf) != made.features:
            raise ValueError(f"{len(made.idf)} weights of {made.features} features")
        if made.idf and not 0 <= min(made.idf) <= max(made.idf) <= HEAVIEST:
            raise ValueError(f"weights of features from {min(made.idf):g} to {max(made.idf):g}")
        return made


def idf_of(texts: np.ndarray, total: int) -> tuple[float, ...]:
    """The weight of each feature, of the number of texts [F] that it is in."""
    idf = np.log((1 + total) / (1 + texts)) + 1
    return tuple(np.round(idf / idf.max(), DIGITS).tolist())


def of_length_1(rows: csr_matrix) -> csr_matrix:
    """Each row that is not zero, divided by its length."""
    from scipy.sparse import diags

    length = np.sqrt(np.asarray(rows.multiply(rows).sum(1)).ravel())
    return diags(1 / np.where(length > 0, length, 1.0)) @ rows


def damped(counts: csr_matrix) -> csr_matrix:
    """±n to ±(1 + log n), sparse; where two features meet and cancel nothing is left."""
    found = counts.copy()
    found.data = np.sign(found.data) * (1 + np.log(np.maximum(np.abs(found.data), 1)))
    return found


@dataclass(frozen=True)
class SentenceText:
    """Embeddings of a frozen sentence-transformers model, by name or by a local folder.

    It is never downloaded here: a name is looked up among what that library has on this machine.

    Args:
        digest: SHA-256 hex of the files that a model which stands alone has brought along.
    """

    model: str
    size: int = 0
    digest: str = ""

    @property
    def key(self) -> str:
        """By which its model is known in this process."""
        return self.digest or self.model

    @property
    def width(self) -> int:
        return self.size

    def encode(self, texts: Sequence[str]) -> np.ndarray:
        """float32 [M, D], of length 1."""
        found = load_sentence_model(self.key).encode(
            list(texts), convert_to_numpy=True, normalize_embeddings=True, show_progress_bar=False
        )
        return np.asarray(found, np.float32)

    def fit(self, texts: Sequence[str]) -> SentenceText:
        """With its size; nothing else depends on the texts."""
        return replace(self, size=int(self.encode(texts[:1]).shape[1]))

    def as_dict(self) -> dict[str, Plain]:
        brought = {"digest": self.digest} if self.digest else {}
        return {"name": "sentence", "model": self.model, "size": self.size, **brought}

    @classmethod
    def from_dict(cls, value: Record) -> SentenceText:
        brought = text_in(value, "digest") if "digest" in value else ""
        return cls(text_in(value, "model"), whole_in(value, "size"), brought)


_LOADED: dict[str, SentenceTransformer] = {}
_FOLDERS: dict[str, Path] = {}
"""Where models that were fetched lie, by their name."""


def know_sentence_model(name: str, folder: Path) -> None:
    """Says where the model of that name lies."""
    _FOLDERS[name] = folder


def load_sentence_model(name: str) -> SentenceTransformer:
    """Raises EnvironmentProblem: the extra is missing, or the model is not on this machine."""
    if name in _LOADED:
        return _LOADED[name]
    try:
        from sentence_transformers import SentenceTransformer
    except ImportError:
        raise EnvironmentProblem(
            f"encoder sentence:{name} needs the extra [text], which is not installed",
            code="environment.extra",
            hint="pip install 'metacli[text]'",
        ) from None
    try:
        place = str(_FOLDERS.get(name, name))
        with without_bars():
            model = SentenceTransformer(place, local_files_only=True, device="cpu")
    except (OSError, ValueError, RuntimeError) as error:
        where = "a folder" if os.sep in name else "among the models on this machine"
        raise EnvironmentProblem(
            f"no sentence-transformers model {name} ({where}): {str(error).splitlines()[0][:100]}",
            code="environment.text_model",
            where=name,
            hint=f"metacli fetch {name}; or save it with that library and name its folder",
        ) from None
    _LOADED[name] = model
    return model


@contextmanager
def without_bars() -> Iterator[None]:
    """None of transformers' own bars, which would stand between the lines of a command."""
    try:
        from transformers.utils import logging
    except ImportError:  # then there are none
        yield
        return
    shown = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            logging.enable_progress_bar()


TextEncoder = HashedText | SentenceText | TokenNumbers


def text_encoder(name: str, features: int = 8192) -> TextEncoder:
    """`hashed`, `tokens`, or `sentence:<name or folder>`. Raises DataError for another word."""
    if name == "hashed":
        if features < 64 or features % 2:
            raise DataError(f"features is {features}; wanted an even number of 64 or more")
        return HashedText(features)
    if name == "tokens":
        return TokenNumbers()
    kind, _, model = name.partition(":")
    if kind != "sentence" or not model:
        raise DataError(
            f"encoder is {name!r}; wanted hashed, tokens or sentence:NAME_OR_FOLDER",
            code="data.encoder",
        )
    return SentenceText(model)
