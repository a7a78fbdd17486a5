"""Texts as two kinds of numbers side by side: the meaning of their tokens, and the n-grams that
they are spelled with. Each has length 1, the n-grams times their share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from metacli.data.plain import Plain, Record, number_in
from metacli.data.tables.static_text import StaticText
from metacli.data.tables.text import HashedText

SMALLEST = 1e-12  # length of a text without any token


@dataclass(frozen=True)
class JoinedText:
    """Features of both encoders, those of the tokens first.

    Args:
        share: length of the n-grams' features; that of the tokens' is 1.
    """

    static: StaticText
    hashed: HashedText
    share: float = 0.6

    @property
    def width(self) -> int:
        return self.static.width + self.hashed.width

    def encode(self, texts: Sequence[str]) -> np.ndarray:
        """float32 [M, D]."""
        meaning = self.static.encode(texts)
        length = np.linalg.norm(meaning, axis=1, keepdims=True)
        spelled = self.share * self.hashed.encode(texts).toarray()
        both = [meaning / np.maximum(length, SMALLEST), spelled]
        return np.concatenate(both, 1).astype(np.float32)

    def fit(self, texts: Sequence[str]) -> JoinedText:
        """With the n-grams weighed by how rare they are among these texts."""
        return replace(self, hashed=self.hashed.fit(texts))

    def as_dict(self) -> dict[str, Plain]:
        return {
            "name": "joined",
            "static": self.static.as_dict(),
            "hashed": self.hashed.as_dict(),
            "share": self.share,
        }

    @classmethod
    def from_dict(cls, value: Record) -> JoinedText:
        """Raises ValueError: not what `as_dict` gives."""
        static, hashed = value.get("static"), value.get("hashed")
        if not isinstance(static, Mapping) or not isinstance(hashed, Mapping):
            raise ValueError("a joined encoder has a static and a hashed one")
        return cls(
            StaticText.from_dict(static), HashedText.from_dict(hashed), number_in(value, "share")
        )
