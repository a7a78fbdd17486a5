"""Texts as the numbers of their tokens, for a network that looks their embeddings up.

Shape letters: M texts, L tokens.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from metacli.data.catalogue.encoders import ENCODERS
from metacli.data.plain import Plain, Record, text_in, whole_in
from metacli.data.tables.static_text import StaticText


@dataclass(frozen=True)
class TokenNumbers:
    """The first L tokens of an encoder's tokenizer; nothing is fitted."""

    encoder: str = "wordllama"
    length: int = 64

    @property
    def width(self) -> int:
        return self.length

    def encode(self, texts: Sequence[str]) -> np.ndarray:
        """float32 [M, L]: numbers counted from 1, and 0 after the last token. Raises as
        `StaticText.encode`."""
        found = np.zeros((len(texts), self.length), np.float32)
        for row, tokens in enumerate(StaticText(self.encoder).tokens(texts)):
            kept = tokens[: self.length]
            found[row, : len(kept)] = np.array(kept, np.float32) + 1
        return found

    def fit(self, texts: Sequence[str]) -> TokenNumbers:
        """Itself."""
        return self

    def as_dict(self) -> dict[str, Plain]:
        return {"name": "tokens", "encoder": self.encoder, "length": self.length}

    @classmethod
    def from_dict(cls, value: Record) -> TokenNumbers:
        """Raises ValueError: an encoder that is not in the registry, or no length."""
        name, length = text_in(value, "encoder"), whole_in(value, "length")
        if name not in ENCODERS or length < 1:
            raise ValueError(f"no encoder {name!r} of {length} tokens")
        return cls(name, length)
