"""`predict` on tables and texts: one answer for each row, whatever the other rows are."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from metacli.data.files import read_regular, shown
from metacli.data.tables.reader import Table, parse_table, read_table
from metacli.data.user.listing import kind_of
from metacli.engine.models.model import AdaptedModel
from metacli.errors import DataError

STDIN = "-"
ROWS = 256  # at a time
LINES = "text"  # the column that lines of plain text become


Answer = Callable[[torch.Tensor], list[dict[str, Any]]]
"""x [M, F] -> what is said of each row."""


def answered(
    model: AdaptedModel, paths: Sequence[Path], stdin: bytes | None, answer: Answer
) -> Iterator[dict[str, Any]]:
    """What is said of every row of these tables, in their order, with its `input` and `error`."""
    for path in paths:
        try:
            table = stdin_table(model, stdin) if str(path) == STDIN else table_of(model, path)
        except DataError as error:
            yield {"input": str(path), "error": plain(error)}
            continue
        for first in range(0, len(table), ROWS):
            yield from some(model, table, np.arange(first, min(first + ROWS, len(table))), answer)


def table_of(model: AdaptedModel, path: Path) -> Table:
    """A table, or for a model of texts a file with one text on each line."""
    if kind_of(path.name) == "text" and model.inputs.kind == "text":
        return lines(read_regular(path), shown(path.name))
    return read_table(path)


def stdin_table(model: AdaptedModel, content: bytes | None) -> Table:
    """CSV with a header; for a model of texts also one text on each line."""
    if not content:
        raise DataError("nothing came on stdin", code="data.empty", where=STDIN)
    if model.inputs.kind == "text":
        head = content.split(b"\n", 1)[0].decode("utf-8", "replace").strip("\ufeff\r")
        columns = {one.strip().strip('"') for one in head.split(",")}
        if not columns & {LINES, model.columns.input}:
            return lines(content, "stdin")
    return parse_table(content, "csv", "stdin")


def lines(content: bytes, name: str) -> Table:
    """Plain text as a table of one column; empty lines are left out."""
    import polars as pl

    try:
        found = [one for one in content.decode("utf-8-sig").split("\n") if one.strip()]
    except UnicodeDecodeError as error:
        row = content[: error.start].count(b"\n") + 1
        raise DataError(
            f"line {row} of {name} is not UTF-8", code="table.encoding", where=f"{name}:{row}"
        ) from None
    if not found:
        raise DataError(f"{name} has no rows", code="table.empty", where=name)
    stripped = [one.rstrip("\r") for one in found]
    return Table(name, pl.DataFrame({LINES: stripped}), first=1)


def some(
    model: AdaptedModel, table: Table, numbers: np.ndarray, answer: Answer
) -> Iterator[dict[str, Any]]:
    """The answers of some rows; where one cannot be read, each is tried by itself."""
    names = [table.row(int(number)) for number in numbers]
    try:
        found = answer(tensor_of(model, table, numbers))
    except DataError as error:
        if len(numbers) == 1 or error.code in ("table.columns", "table.no_column"):
            for name in names:
                yield {"input": name, "error": plain(error)}
            return
        for number in numbers:
            yield from some(model, table, number[None], answer)
        return
    for name, said in zip(names, found, strict=True):
        yield {"input": name, **said, "error": None}


def tensor_of(model: AdaptedModel, table: Table, numbers: np.ndarray) -> torch.Tensor:
    """Some rows as the network takes them, [M, F]. Raises DataError for a bad cell."""
    part = Table(table.name, table.frame[numbers], table.first + int(numbers[0]))
    if model.inputs.kind == "text":
        x = model.inputs.encoder.encode(part.texts(text_column(model, part)))
        x = x.toarray() if hasattr(x, "toarray") else x
    else:
        x = model.inputs.encoder.encode(part)
    device = next(iter(model.params.values())).device
    return torch.from_numpy(np.asarray(x, np.float32)).to(device)


def text_column(model: AdaptedModel, table: Table) -> str:
    """The column that was adapted on, or `text`, or the only one."""
    for name in (model.columns.input, LINES):
        if name in table.columns:
            return str(name)
    if len(table.columns) == 1:
        return table.columns[0]
    return table.require(model.columns.input or LINES)


def plain(error: DataError) -> dict[str, str]:
    return {"code": error.code, "message": error.message}
