"""What `export` returns."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from metacli.data.tables.dates import Order
from metacli.engine.results.base import Json, Part, Result


@dataclass(frozen=True)
class TextFeatures(Part):
    """How a text becomes numbers: hashed words and characters, n-grams from..to."""

    features: int
    words: tuple[int, int]
    characters: tuple[int, int]


@dataclass(frozen=True)
class DateSpec(Part):
    """Which part of a date a cell holds, and in which order dates are written."""

    part: str
    order: Order


@dataclass(frozen=True)
class ColumnSpec(Part):
    """A column of a table; `values` are the words that it may hold, None for a number or a date."""

    optional: ClassVar[frozenset[str]] = frozenset({"date"})

    name: str
    values: tuple[str, ...] | None = None
    date: DateSpec | None = None


@dataclass(frozen=True)
class TensorSpec(Part):
    """A tensor that goes into a file or comes out of it.

    Args:
        shape: a word is a size that may be any number.
        values: what its values are, in words.
        labels: of the last axis, where it is over classes.
        task: which task of a multi-task model an output is for.
        columns: of an input that holds cells; `text` of one that holds hashed texts.
        shorter: pixels of an image's shorter side before its middle is cut out; None: the image is
            stretched.
        changes: what is done to an image before: grey, contrast, invert.
        tokenizer: the encoder whose tokenizer gives the numbers of an input's tokens; its file is
            written beside the model.
    """

    optional: ClassVar[frozenset[str]] = frozenset(
        {"values", "labels", "task", "columns", "text", "shorter", "changes", "tokenizer"}
    )

    name: str
    dtype: str
    shape: tuple[int | str, ...]
    values: str | None = None
    labels: tuple[str, ...] | None = None
    task: str | None = None
    columns: tuple[ColumnSpec, ...] | None = None
    text: TextFeatures | None = None
    shorter: int | None = None
    changes: tuple[str, ...] | None = None
    tokenizer: str | None = None


@dataclass(frozen=True)
class Parity(Part):
    """How the file's answers compare with PyTorch's.

    Args:
        max_abs: the largest difference, in probability or in standard deviations of the target.
        tolerance: the largest that passes.
        n: answers that were compared; `inputs` says what they were.
        supports: sizes of the supports, of a file that adapts by itself.
    """

    optional: ClassVar[frozenset[str]] = frozenset({"supports"})

    max_abs: float
    tolerance: float
    n: int
    inputs: str
    supports: tuple[int, ...] | None = None
    checked: bool = True


@dataclass(frozen=True, eq=False)
class ExportResult(Result):
    """The file, and what runs it. `file` and `bytes` are None where it was not written.

    Args:
        usage: the words after the example's name.
    """

    optional: ClassVar[frozenset[str]] = frozenset({"readme", "example", "usage", "dry_run"})

    file: Path | None
    format: str
    bytes: int | None
    parity: Parity
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    readme: Path | None = None
    example: Path | None = None
    usage: str | None = None
    dry_run: bool | None = None


Meta = Mapping[str, Json]
"""What a file holds in addition to the graph."""
