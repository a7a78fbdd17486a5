"""Rows that are kept as they were read, texts or cells, and become numbers by an encoder when they
are asked for. So the same rows can be read by whichever model they are given to."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, TypeGuard

import numpy as np

from metacli.data.plain import Record, text_in
from metacli.data.tables.encoding import Encoding
from metacli.data.tables.joined_text import JoinedText
from metacli.data.tables.reader import Table
from metacli.data.tables.static_text import StaticText
from metacli.data.tables.text import HashedText, SentenceText, TextEncoder, text_encoder
from metacli.data.tables.token_numbers import TokenNumbers
from metacli.errors import DataError

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

Texts = tuple[str, ...]
Rows = Table | Texts
Encoder = Encoding | TextEncoder | StaticText | JoinedText
ENCODERS: Mapping[str, Callable[[Record], Encoder]] = {
    "table": Encoding.from_dict,
    "hashed": HashedText.from_dict,
    "sentence": SentenceText.from_dict,
    "static": StaticText.from_dict,
    "joined": JoinedText.from_dict,
    "tokens": TokenNumbers.from_dict,
}


def encoder_of(value: Record) -> Encoder:
    """The encoder that a model's `model.json` describes. Raises ValueError: none that is known."""
    name = text_in(value, "name")
    if name not in ENCODERS:
        raise ValueError(f"no encoder is called {name!r}")
    return ENCODERS[name](value)


def encoded(rows: Rows, encoder: Encoder) -> np.ndarray | csr_matrix:
    """Numbers [M, F] of texts or cells, sparse where the encoder of texts says so.

    Raises:
        DataError: texts for an encoder of cells, or the reverse; cells that cannot be encoded.
    """
    if isinstance(encoder, Encoding):
        if isinstance(rows, Table):
            return encoder.encode(rows)
    elif not isinstance(rows, Table):
        return encoder.encode(rows)
    what, wanted = ("texts", "cells") if isinstance(encoder, Encoding) else ("cells", "texts")
    raise DataError(f"the rows are {what}, the model reads {wanted}", code="data.mismatch")


def dense(numbers: np.ndarray | csr_matrix) -> np.ndarray:
    """float32 [M, F]."""
    return np.asarray(numbers if isinstance(numbers, np.ndarray) else numbers.toarray(), np.float32)


@dataclass(frozen=True, eq=False)
class CodedRows:
    """The store of a pool: rows, and what reads them."""

    rows: Rows
    encoder: Encoder

    @property
    def shape(self) -> tuple[int, int]:
        return len(self.rows), self.encoder.width

    def __len__(self) -> int:
        return len(self.rows)

    @cached_property
    def _numbers(self) -> np.ndarray | csr_matrix:
        return encoded(self.rows, self.encoder)

    def __getitem__(self, rows: np.ndarray) -> np.ndarray:
        """float32 [..., F] for row numbers [...]."""
        wanted = np.asarray(rows)
        found = dense(self._numbers[wanted.ravel()])
        return found.reshape(*wanted.shape, self.encoder.width)

    def read_by(self, encoder: Encoder) -> CodedRows:
        """The same rows for another model."""
        return self if encoder == self.encoder else CodedRows(self.rows, encoder)


def is_text(rows: Rows) -> TypeGuard[Texts]:
    return not isinstance(rows, Table)


@functools.lru_cache(maxsize=4)
def fitted_encoder(name: str, features: int, texts: Texts) -> TextEncoder:
    """Kept for a while: a run asks for its pools several times."""
    return text_encoder(name, features).fit(texts)


@functools.lru_cache(maxsize=8)
def coded(texts: Texts, encoder: Encoder) -> CodedRows:
    """The store of these texts; kept for a while, as its numbers are."""
    return CodedRows(texts, encoder)
