"""Rows that are kept as they were read, texts or cells, and become numbers by an encoder when they
are asked for. So the same rows can be read by whichever model they are given to."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from metacli.data.tables.encoding import Encoding
from metacli.data.tables.reader import Table
from metacli.data.tables.text import HashedText, SentenceText, TextEncoder, text_encoder

Encoder = Encoding | HashedText | SentenceText
ENCODERS: dict[str, Any] = {"table": Encoding, "hashed": HashedText, "sentence": SentenceText}


def encoder_of(value: Mapping[str, Any]) -> Encoder:
    """The encoder that a model's `model.json` describes."""
    made: Encoder = ENCODERS[value["name"]].from_dict(value)
    return made


@dataclass(frozen=True, eq=False)
class CodedRows:
    """The store of a pool.

    Args:
        rows: a Table, or a tuple of texts.
        encoder: that reads such rows.
    """

    rows: Any
    encoder: Any

    @property
    def shape(self) -> tuple[int, int]:
        return len(self.rows), self.encoder.width

    @cached_property
    def _numbers(self) -> Any:
        return self.encoder.encode(self.rows)

    def __getitem__(self, rows: np.ndarray) -> np.ndarray:
        """float32 [..., F] for row numbers [...]."""
        wanted = np.asarray(rows)
        found = self._numbers[wanted.ravel()]
        dense = found.toarray() if hasattr(found, "toarray") else found
        return np.asarray(dense, np.float32).reshape(*wanted.shape, self.encoder.width)

    def read_by(self, encoder: Encoder) -> CodedRows:
        """The same rows for another model."""
        return self if encoder == self.encoder else CodedRows(self.rows, encoder)


def is_text(rows: Any) -> bool:
    return not isinstance(rows, Table)


@functools.lru_cache(maxsize=4)
def fitted_encoder(name: str, features: int, texts: tuple[str, ...]) -> TextEncoder:
    """Kept for a while: a run asks for its pools several times."""
    return text_encoder(name, features).fit(texts)


@functools.lru_cache(maxsize=8)
def coded(texts: tuple[str, ...], encoder: Any) -> CodedRows:
    """The store of these texts; kept for a while, as its numbers are."""
    return CodedRows(texts, encoder)
