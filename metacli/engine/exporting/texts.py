"""The part of an exported file between a text and what the network takes: n-grams and tokens become
numbers outside, everything after that is inside.

Shape letters: B texts, F features of n-grams, L tokens, V rows of a table, D features.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn

from metacli.data.catalogue.heads import tensors_of
from metacli.data.tables.joined_text import JoinedText
from metacli.data.tables.static_text import DOWN, SMALLEST, UP, WEIGHTS, StaticText, table_of
from metacli.data.tables.text import HashedText

MADE_UP = (
    "where is my parcel",
    "please book a table for four on friday evening",
    "Thanks a lot!",
    "it does not work any more, can you help?",
    "turn the lights off",
    "Ünïcode — 漢字, 42",
    "a",
)
"""Texts to compare on where none of the user's are at hand."""


class Words(nn.Module):
    """Signed counts [B, F] to the features of `HashedText`: damped, weighed, and each part, of
    words and of characters, of one length (0 where it has no n-gram)."""

    weights: Tensor

    def __init__(self, encoder: HashedText) -> None:
        super().__init__()
        self.parts = 1 if encoder.characters == (0, 0) else 2
        self.sublinear = encoder.sublinear
        self.register_buffer("weights", torch.from_numpy(weights_of(encoder)))

    def forward(self, counts: Tensor) -> Tensor:
        if self.sublinear:  # ±n to ±(1 + log n)
            counts = counts.sign() * (1 + counts.abs().clamp(min=1).log())
        parts = (counts * self.weights).chunk(self.parts, 1)
        scaled = [part / part.norm(dim=1, keepdim=True).clamp(min=1e-12) for part in parts]
        result: Tensor = torch.cat(scaled, 1) / self.parts**0.5
        return result


def weights_of(encoder: HashedText) -> np.ndarray:
    """float32 [F]."""
    return np.array(encoder.idf or np.ones(encoder.features), np.float32)


class Tokens(nn.Module):
    """Numbers of tokens [B, L], counted from 1 and 0 for none, to the features of `StaticText`. The
    table keeps the precision that its file has."""

    table: Tensor
    weight: Tensor

    def __init__(self, encoder: StaticText) -> None:
        super().__init__()
        table = torch.from_numpy(table_of(encoder.encoder).copy())
        half = table.half()
        self.register_buffer("table", half if torch.equal(half.float(), table) else table)
        head = None if encoder.head is None else tensors_of(encoder.head)
        weight = np.ones(len(table), np.float32) if head is None else np.exp(head[WEIGHTS])
        self.register_buffer("weight", torch.from_numpy(weight.astype(np.float32)))
        self.mean = head is None
        for name, value in () if head is None else head.items():
            if name in (DOWN, UP):
                self.register_buffer(name.partition(".")[2], torch.from_numpy(value.copy()))

    def forward(self, tokens: Tensor) -> Tensor:
        place = (tokens - 1).clamp(min=0)
        weight = self.weight[place] * (tokens > 0)  # [B, L]
        total = (weight.unsqueeze(-1) * self.table[place].float()).sum(1)
        if self.mean:
            mean: Tensor = total / weight.sum(1, keepdim=True).clamp(min=1.0)
            return mean
        z = of_length_1(total)
        return of_length_1(z + z @ self.get_buffer("down").T @ self.get_buffer("up").T)


class Both(nn.Module):
    """Numbers of tokens [B, L] and counts [B, F] to the features of `JoinedText`."""

    def __init__(self, encoder: JoinedText) -> None:
        super().__init__()
        self.share = encoder.share
        self.tokens, self.words = Tokens(encoder.static), Words(encoder.hashed)

    def forward(self, tokens: Tensor, counts: Tensor) -> Tensor:
        spelled = self.share * self.words(counts)
        return torch.cat([of_length_1(self.tokens(tokens)), spelled], 1)


class AsFloat(nn.Module):
    """Numbers of tokens for a network that looks them up itself."""

    def forward(self, tokens: Tensor) -> Tensor:
        return tokens.to(torch.float32)


def of_length_1(x: Tensor) -> Tensor:
    """Rows of zeros stay."""
    scaled: Tensor = x / x.norm(dim=1, keepdim=True).clamp(min=SMALLEST)
    return scaled


def counts_of(encoder: HashedText, texts: Sequence[str]) -> np.ndarray:
    """float32 [M, F], as scikit-learn gives them."""
    return np.concatenate([one.toarray() for one in encoder.counts(texts)], 1).astype(np.float32)


def token_numbers(encoder: StaticText, texts: Sequence[str]) -> np.ndarray:
    """int64 [M, L] of the longest text, counted from 1 and 0 after the last."""
    every = encoder.tokens(texts)
    found = np.zeros((len(texts), max(1, *map(len, every))), np.int64)
    for row, tokens in enumerate(every):
        found[row, : len(tokens)] = np.array(tokens, np.int64) + 1
    return found
