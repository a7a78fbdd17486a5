"""The part of an exported file between what a user has and what the network takes: cells of a table
are encoded and scaled inside, hashed words are weighed and scaled inside, pixels need nothing.

Shape letters: B rows, C cells, D numbers, F features of a text.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import torch
from torch import Tensor, nn

from metacli.data.image_changes import Change, in_words
from metacli.data.tables.encoding import Categorical, DatePart, Encoding, Numeric
from metacli.data.tables.joined_text import JoinedText
from metacli.data.tables.molecules import refuse_export
from metacli.data.tables.static_text import StaticText
from metacli.data.tables.text import HashedText, SentenceText
from metacli.data.tables.token_numbers import TokenNumbers
from metacli.engine.exporting.texts import (
    AsFloat,
    Both,
    Tokens,
    Words,
    counts_of,
    token_numbers,
    weights_of,
)
from metacli.engine.models.inputs import InputSpec
from metacli.engine.results.export import ColumnSpec, DateSpec, TensorSpec, TextFeatures

EMBEDDINGS = "embeddings"  # the input of a model whose texts are read by a sentence encoder
TRACED = 5  # of a size that may be any number
Cell = Numeric | DatePart | Categorical
"""A column whose cells are one number each."""


@dataclass(frozen=True)
class Entrance:
    """How a file takes its examples.

    Args:
        module: the input to what the network takes.
        name: of the input.
        shape: without the rows.
        values: what its numbers are, in words.
        raw: the inverse of `module`, for rows that were read already.
        columns: of a table whose cells it takes.
        text: how a text becomes its numbers. tokenizer: the encoder whose tokens they are.
        of_texts: texts to the arrays of this input and the one beside it; None: it takes none.
        beside: a second input, which `module` takes, too.
        shorter: of images whose middle it takes, the shorter side before that.
        changes: what is done to images before.
    """

    module: nn.Module
    name: str
    shape: tuple[int | str, ...]
    values: str | None = None
    raw: Callable[[np.ndarray], np.ndarray] = np.asarray
    dtype: Literal["float32", "float64", "int64"] = "float32"
    columns: tuple[ColumnSpec, ...] | None = None
    text: TextFeatures | None = None
    shorter: int | None = None
    changes: tuple[Change, ...] | None = None
    tokenizer: str | None = None
    of_texts: Callable[[Sequence[str]], tuple[np.ndarray, ...]] | None = None
    beside: Entrance | None = None

    @property
    def every(self) -> tuple[Entrance, ...]:
        """This input, and the one beside it."""
        return (self,) if self.beside is None else (self, self.beside)

    def described(self, rows: str, name: str | None = None) -> TensorSpec:
        """As it is written into the file; `rows` names the size that may be any number."""
        return TensorSpec(
            name=name or self.name,
            dtype=self.dtype,
            shape=(rows, *self.shape),
            values=self.values,
            columns=self.columns,
            text=self.text,
            shorter=self.shorter,
            changes=self.changes,
            tokenizer=self.tokenizer,
        )

    def zeros(self, rows: int) -> Tensor:
        """So many rows to trace with."""
        kinds = {"float64": torch.float64, "int64": torch.int64}
        shape = [size if isinstance(size, int) else TRACED for size in self.shape]
        return torch.zeros(rows, *shape, dtype=kinds.get(self.dtype, torch.float32))

    def filled(self, x: np.ndarray) -> np.ndarray:
        """Rows that were read, as the file takes them."""
        return np.ascontiguousarray(self.raw(x), self.dtype)


def entrance_of(spec: InputSpec) -> Entrance:
    """The entrance of a model for one kind of task."""
    encoder = spec.encoder
    if isinstance(encoder, Encoding):
        return of_cells(encoder)
    if isinstance(encoder, HashedText):
        return of_words(encoder)
    if isinstance(encoder, StaticText):
        return of_tokens(encoder, Tokens(encoder))
    if isinstance(encoder, TokenNumbers):
        return of_tokens(encoder, AsFloat())
    if isinstance(encoder, JoinedText):
        return of_both(encoder)
    if isinstance(encoder, SentenceText):
        values = f"embeddings of the sentence-transformers model {encoder.model}, of length 1"
        return Entrance(nn.Identity(), EMBEDDINGS, spec.shape, values)
    if spec.kind != "image":
        return Entrance(nn.Identity(), "numbers", spec.shape)
    channels, height, width = spec.shape
    colour = "grey" if channels == 1 else "RGB"
    fitted = f"resized to {height}x{width}"
    if spec.shorter is not None:
        fitted = f"shorter side {spec.shorter} (bicubic), the middle {height}x{width}"
    before = f"as in the file, {in_words(spec.changes) + ', ' if spec.changes else ''}{fitted}"
    values = f"0 to 255, {colour}, {before}"
    return Entrance(
        *(nn.Identity(), "pixels", spec.shape, values),
        shorter=spec.shorter,
        changes=spec.changes or None,
    )


def of_cells(encoding: Encoding) -> Entrance:
    """The rows of a table. Raises DataError: molecules or texts, which no graph reads."""
    cells = single_cells(encoding)
    columns = tuple(described_column(one) for one in cells)
    return Entrance(
        Cells(cells),
        "cells",
        (len(columns),),
        "numbers as they are, NaN where missing; of a date the part that is named; a word as its "
        "place among its column's values, -1 where it is missing or unknown; scaling is inside",
        lambda x: cells_of(cells, x),
        "float64",
        columns=columns,
    )


def single_cells(encoding: Encoding) -> tuple[Cell, ...]:
    """The columns. Raises DataError: one of molecules or texts, which no graph reads."""
    found = []
    for one in encoding.columns:
        if not isinstance(one, Numeric | DatePart | Categorical):
            raise refuse_export(one.name)
        found.append(one)
    return tuple(found)


def described_column(column: Cell) -> ColumnSpec:
    """What a cell of the file's input holds."""
    match column:
        case Categorical():
            return ColumnSpec(column.name, tuple(column.values))
        case DatePart():
            return ColumnSpec(column.name, date=DateSpec(column.part, column.order))
        case _:
            return ColumnSpec(column.name)


def of_words(encoder: HashedText) -> Entrance:
    """Texts from their features on: hashing words is not for a graph."""
    alone = encoder.characters == (0, 0)
    size = encoder.features if alone else encoder.features // 2
    which = f"{size} of words" if alone else f"{size} of words, {size} of characters within words"
    return Entrance(
        Words(encoder),
        "counts",
        (encoder.features,),
        f"signed counts of hashed n-grams, {which}, as scikit-learn's HashingVectorizer gives; "
        "weighing and scaling are inside",
        lambda x: x / weights_of(encoder),
        text=TextFeatures(size, encoder.words, encoder.characters),
        of_texts=lambda texts: (counts_of(encoder, texts),),
    )


def of_tokens(encoder: StaticText | TokenNumbers, module: nn.Module) -> Entrance:
    """Texts from the numbers of their tokens on."""
    static = StaticText(encoder.encoder)
    length = encoder.length if isinstance(encoder, TokenNumbers) else None
    most = "" if length is None else f" of the first {length}"
    return Entrance(
        module,
        "tokens",
        ("length",) if length is None else (length,),
        f"numbers of tokens{most}, counted from 1, 0 for none: those that the tokenizer file "
        "gives, plus 1",
        dtype="int64",
        tokenizer=encoder.encoder,
        of_texts=(lambda texts: (token_numbers(static, texts),))
        if length is None
        else (lambda texts: (encoder.encode(texts).astype(np.int64),)),
    )


def of_both(encoder: JoinedText) -> Entrance:
    """Tokens, and n-grams beside them."""
    words = of_words(encoder.hashed)
    first = of_tokens(encoder.static, Both(encoder))
    return replace(
        first,
        beside=words,
        of_texts=lambda texts: (
            token_numbers(encoder.static, texts),
            counts_of(encoder.hashed, texts),
        ),
    )


class Cells(nn.Module):
    """Cells [B, C], float64, to the numbers [B, D] that `Encoding` makes of them.

    A number is itself, NaN where the cell is missing; a word is its place among the values of its
    column, anything else where it is missing or unknown.
    """

    def __init__(self, columns: Sequence[Cell]) -> None:
        super().__init__()
        self.columns = tuple(columns)

    def forward(self, cells: Tensor) -> Tensor:
        parts = [
            _word(one, cells[:, at])
            if isinstance(one, Categorical)
            else _numeric(one, cells[:, at])
            for at, one in enumerate(self.columns)
        ]
        return torch.cat(parts, 1).to(torch.float32)


def _numeric(column: Numeric | DatePart, cell: Tensor) -> Tensor:  # [B] -> [B, 1 or 2]
    gone = torch.isnan(cell)
    # As tensors: a number of Python's becomes float32 in ONNX, in which a year is 0.0001 off.
    mean, scale = (torch.tensor(one, dtype=cell.dtype) for one in (column.mean, column.scale))
    scaled = torch.where(gone, 0.0, (cell - mean) / scale)
    if column.limit is not None:
        scaled = scaled.clamp(-column.limit, column.limit)
    both = (scaled, gone.to(cell.dtype)) if column.missing else (scaled,)
    return torch.stack(both, 1)


def _word(column: Categorical, cell: Tensor) -> Tensor:  # [B] -> [B, values + 1]
    unknown = len(column.values)
    known = (cell >= 0) & (cell < unknown)  # a NaN is neither
    place = torch.where(known, cell, float(unknown))
    return (place[:, None] == torch.arange(unknown + 1, dtype=cell.dtype)).to(cell.dtype)


def cells_of(columns: Sequence[Cell], x: np.ndarray) -> np.ndarray:
    """Cells [M, C] that are encoded as x [M, D]."""
    cells, at = [], 0
    for one in columns:
        part = x[:, at : at + one.width].astype(np.float64)
        at += one.width
        if isinstance(one, Categorical):
            cells.append(part.argmax(1).astype(np.float64))
            continue
        value = part[:, 0] * one.scale + one.mean
        cells.append(np.where(part[:, 1] > 0, np.nan, value) if one.missing else value)
    return np.stack(cells, 1)
