"""How the rows of many tasks become x: kept with the data, and by a model that learns from them."""

from __future__ import annotations

from dataclasses import dataclass

from metacli.data.plain import Plain
from metacli.data.tables.encoding import Encoding
from metacli.data.tables.text import HashedText


@dataclass(frozen=True)
class Columns:
    """What a set says of its columns.

    Args:
        inputs: columns to predict from.
        encoding: how their cells become numbers, with statistics of training rows.
        task: the column that names the task of a row, where there is one.
        targets: the column of each task.
    """

    inputs: tuple[str, ...]
    encoding: Encoding
    task: str | None
    targets: tuple[str, ...]

    def as_dict(self) -> dict[str, Plain]:
        return {"task": self.task, "targets": list(self.targets), **self.encoding.as_dict()}


@dataclass(frozen=True)
class TextColumns:
    """How rows of texts become x: the column `text`, and one that names the task of a row."""

    encoder: HashedText
    task: str | None = "task"
    column: str = "text"

    def as_dict(self) -> dict[str, Plain]:
        return {"task": self.task, "column": self.column, **self.encoder.as_dict()}


ReadAs = Columns | TextColumns
