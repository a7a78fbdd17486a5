"""Names of classes as examples of theirs: `book_flight` says nearly what its texts say."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

import torch

from metacli.data.tables.coded import dense, encoded
from metacli.engine.adapting.source import Source
from metacli.types import Batch

_BETWEEN = re.compile(r"[\W_]+|(?<=[a-z])(?=[A-Z])")


def says_something(labels: Sequence[str]) -> bool:
    """Whether every name holds a word, and no two the same words."""
    words = [in_words(label) for label in labels]
    return all(re.search(r"[^\W\d_]{2}", one) for one in words) and len(set(words)) == len(words)


def in_words(label: str) -> str:
    """`bookFlight` and `book_flight` as `book flight`."""
    return " ".join(part for part in _BETWEEN.split(label) if part).lower()


def named(source: Source, labels: Sequence[str], device: torch.device) -> Source:
    """The source with the names of these classes beside every support."""
    if not source.names:
        return source
    encoder = source.inputs.encoder
    assert encoder is not None  # only texts have names that are examples
    x = dense(encoded(tuple(map(in_words, labels)), encoder))
    y = torch.arange(len(labels), device=device)
    return replace(source, beside=Batch(torch.from_numpy(x).to(device), y))
