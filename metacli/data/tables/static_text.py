"""Texts to numbers by pretrained token embeddings: the mean of the embeddings of a text's tokens.

Static means that a token's embedding does not depend on its neighbours: D. L. Miller, "WordLlama:
Recycled token embeddings from large language models", 2024. The two files are read with
`tokenizers` and safetensors; no code of the package that holds them is run. With a head (`HEADS`)
the tokens are weighed and their mean is projected, as the backbone `words` does, whose parameters a
head has.

Shape letters: M texts, V tokens, D numbers of an embedding.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load

from metacli.data.catalogue.encoders import ENCODERS, file_of
from metacli.data.catalogue.heads import HEADS, tensors_of
from metacli.data.plain import Plain, Record, text_in, text_or_none_in
from metacli.errors import DataError

if TYPE_CHECKING:
    from tokenizers import Tokenizer

WEIGHT = "embedding.weight"
WEIGHTS, DOWN, UP = "log_weight", "projection.down", "projection.up"  # of a head
SMALLEST = 1e-12  # length of a text without any token
AT_A_TIME = 1024  # texts


@dataclass(frozen=True)
class StaticText:
    """Embeddings of an encoder by its name in the registry; nothing is fitted.

    Args:
        head: what was meta-learned on it, by its name in `HEADS`; None: the plain mean.
    """

    encoder: str = "wordllama"
    head: str | None = None

    @property
    def width(self) -> int:
        return int(table_of(self.encoder).shape[1])

    def encode(self, texts: Sequence[str]) -> np.ndarray:
        """float32 [M, D]; a text without a token is all zeros.

        Raises:
            EnvironmentProblem: the package that holds the encoder is not installed.
            DataError: its files are not those that are known.
        """
        table, head = table_of(self.encoder), None if self.head is None else tensors_of(self.head)
        found = np.zeros((len(texts), table.shape[1]), np.float32)
        for first in range(0, len(texts), AT_A_TIME):
            for row, tokens in enumerate(self.tokens(texts[first : first + AT_A_TIME]), first):
                if tokens and head is None:
                    found[row] = table[tokens].mean(0)
                elif tokens and head is not None:
                    found[row] = np.exp(head[WEIGHTS][tokens]) @ table[tokens]
        return found if head is None else projected(found, head)

    def tokens(self, texts: Sequence[str]) -> list[list[int]]:
        """The rows of the table that each text's tokens have."""
        coded = tokenizer_of(self.encoder).encode_batch(list(texts), add_special_tokens=False)
        return [one.ids for one in coded]

    def fit(self, texts: Sequence[str]) -> StaticText:
        """Itself."""
        return self

    def as_dict(self) -> dict[str, Plain]:
        head: dict[str, Plain] = {} if self.head is None else {"head": self.head}
        return {"name": "static", "encoder": self.encoder, **head}

    @classmethod
    def from_dict(cls, value: Record) -> StaticText:
        """Raises ValueError: an encoder or a head that is not in the registry."""
        name, head = text_in(value, "encoder"), text_or_none_in(value, "head")
        if name not in ENCODERS:
            raise ValueError(f"no encoder is called {name!r}")
        if head is not None and head not in HEADS:
            raise ValueError(f"no head is called {head!r}: install a newer metacli")
        return cls(name, head)


def projected(sums: np.ndarray, head: Mapping[str, np.ndarray]) -> np.ndarray:
    """Sums of weighed embeddings [M, D] under a head's projection, rows of length 1 or 0."""
    z = of_length_1(sums)
    return of_length_1(z + z @ head[DOWN].T @ head[UP].T)


def of_length_1(rows: np.ndarray) -> np.ndarray:
    """Rows of zeros stay."""
    length = np.linalg.norm(rows, axis=1, keepdims=True)
    found: np.ndarray = rows / np.maximum(length, SMALLEST)
    return found


@cache
def table_of(name: str) -> np.ndarray:
    """The embeddings [V, D], float32. Raises as `file_of`."""
    path = file_of(ENCODERS[name], "weights")
    try:
        return load(path.read_bytes())[WEIGHT].astype(np.float32)
    except (SafetensorError, KeyError) as error:
        raise DataError(
            f"not the embeddings of {name}: {error}", code="encoder.changed", where=str(path)
        ) from None


@cache
def tokenizer_of(name: str) -> Tokenizer:
    """Raises as `file_of`."""
    from tokenizers import Tokenizer

    made = Tokenizer.from_str(tokenizer_text(name))
    made.no_padding()
    made.no_truncation()
    return made


def tokenizer_text(name: str) -> str:
    """The tokenizer's file."""
    return file_of(ENCODERS[name], "tokenizer").read_text(encoding="utf-8")
