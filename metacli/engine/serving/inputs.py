"""Inputs of a request as `predict` and `adapt` take them: files in memory, or rows."""

from __future__ import annotations

import base64
import binascii
import csv
import io
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal, TypeVar

import numpy as np
from pydantic import JsonValue

from metacli.data.files import shown
from metacli.data.tables.encoding import Encoding
from metacli.engine.models.model import AnyModel, MultiTaskModel
from metacli.engine.predicting.inputs import Held
from metacli.engine.predicting.multi_task_predict import row_encoder_or_none
from metacli.engine.results.predict import (
    Prediction,
    Predictions,
    RowError,
    TaskPrediction,
    TaskPredictions,
)
from metacli.engine.serving.refusals import FEW, Refused
from metacli.engine.serving.requests import found
from metacli.errors import DataError, Finding

Kind = Literal["image", "text", "numbers"]
TEXT, IMAGE = "text", "image"
HEADER = 2  # the number of the first row below it


@dataclass(frozen=True)
class Wants:
    """What a model takes.

    Args:
        columns: of a table, in the order of the model; () where it takes any.
    """

    kind: Kind
    columns: tuple[str, ...] = ()

    @classmethod
    def of(cls, model: AnyModel) -> Wants:
        if isinstance(model, MultiTaskModel):
            encoder = row_encoder_or_none(model)
        else:
            encoder = model.inputs.encoder
        if model.inputs.kind == "numbers":
            return cls("numbers", encoder.names if isinstance(encoder, Encoding) else ())
        return cls(model.inputs.kind)


def held(values: Sequence[JsonValue], wants: Wants) -> list[Held]:
    """Items of `predict`. Raises DataError with every problem."""
    problems: list[Finding] = []
    good: list[bytes | str | list[str | None]] = []
    for at, value in enumerate(values):
        try:
            good.append(decoded(value, wants, f"inputs[{at}]"))
        except DataError as error:
            problems.append(Finding("error", error.code, error.message, error.where))
    raise_all(problems, len(values))
    if wants.kind == "image":
        contents = [one for one in good if isinstance(one, bytes)]
        return [Held(f"inputs[{at}]", one) for at, one in enumerate(contents)]
    cells = np.empty(len(good) if wants.kind == "text" else (len(good), len(wants.columns)), object)
    for at, row in enumerate(good):
        cells[at] = row
    return [Held("inputs", cells)]


def table_of_rows(values: Sequence[JsonValue], wants: Wants) -> bytes:
    """Rows as a CSV with every column that was sent, such as the task of each row, for a model of
    many tasks. Raises DataError with every problem."""
    problems: list[Finding] = []
    rows: list[dict[str, str | None]] = []
    for at, value in enumerate(values):
        try:
            row = row_of(value, wants.columns, f"inputs[{at}]")
            more = {} if isinstance(value, list) else row_of(value, (), f"inputs[{at}]")
            rows.append({**more, **row})
        except DataError as error:
            problems.append(Finding("error", error.code, error.message, error.where))
    raise_all(problems, len(values))
    columns = list(dict.fromkeys(name for row in rows for name in row))
    text = io.StringIO(newline="")
    out = csv.writer(text)
    out.writerow(columns)
    out.writerows([row.get(name) or "" for name in columns] for row in rows)
    return text.getvalue().encode()


Row = TypeVar("Row", Prediction, TaskPrediction)


def renamed(found: Predictions | TaskPredictions) -> Predictions | TaskPredictions:
    """Rows of a table, with a header or without, are called `inputs[3]`, too."""
    if isinstance(found, TaskPredictions):
        return replace(found, rows=tuple(map(row_renamed, found.rows)))
    return replace(found, rows=tuple(map(row_renamed, found.rows)))


def row_renamed(one: Row) -> Row:
    error = None if one.error is None else RowError(one.error.code, as_list(one.error.message))
    return replace(one, input=as_list(one.input), error=error)


def as_list(text: str) -> str:
    text = re.sub(r"\bstdin:(\d+)", lambda found: f"inputs[{int(found[1]) - HEADER}]", text)
    return re.sub(r"\binputs:(\d+)", r"inputs[\1]", text)


def raise_all(problems: Sequence[Finding], count: int) -> None:
    """Raises DataError where there are any."""
    if not problems:
        return
    first = problems[0]
    raise DataError(
        f"{len(problems)} of {count} inputs cannot be read, the first: {first.message}",
        code=first.code,
        where=first.where,
        findings=problems[:FEW],
    )


def decoded(value: JsonValue, wants: Wants, where: str) -> bytes | str | list[str | None]:
    """One input: the bytes of a file, a text, or the cells of a row. Raises DataError."""
    match wants.kind:
        case "image":
            return file_of(value, where)
        case "text":
            if isinstance(value, str) and value.strip():
                return value
            raise wrong(where, value, "text")
        case "numbers":
            return list(row_of(value, wants.columns, where).values())


def file_of(value: JsonValue, where: str) -> bytes:
    """The bytes of base64, which may stand behind `data:image/png;base64,`."""
    if not isinstance(value, str):
        raise wrong(where, value, "an image file in base64")
    text = value.partition(",")[2] if value[:5] == "data:" else value
    try:
        content = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise wrong(where, value, "an image file in base64") from None
    if not content:
        raise wrong(where, value, "an image file in base64")
    return content


def row_of(value: JsonValue, columns: Sequence[str], where: str) -> dict[str, str | None]:
    """Cells by column. A list has them in the order of the model's columns, or, where it takes any,
    numbered. Raises DataError: columns that are missing, or are no cells."""
    if isinstance(value, list):
        names = columns or [f"x{at}" for at in range(len(value))]
        if len(value) != len(names):
            wanted = f"{len(names)}: {', '.join(map(shown, names[:12]))}"
            raise wrong(where, value, f"a list of {wanted}")
        value = dict(zip(names, value, strict=True))
    if not isinstance(value, dict):
        raise wrong(where, value, "an object by column, or a list")
    names = columns or list(value)
    missing = [name for name in names if name not in value]
    if missing:
        raise DataError(
            f"{where} has no {', '.join(map(shown, missing[:5]))}; wanted the columns "
            f"{', '.join(map(shown, names[:12]))}, with null for a cell that is missing",
            code="table.no_column",
            where=where,
        )
    return {name: cell(value[name], f"{where}.{shown(name)}") for name in names}


def cell(value: JsonValue, where: str) -> str | None:
    """A cell as a file would hold it. Raises DataError for lists and objects."""
    match value:
        case None:
            return None
        case bool():
            return "true" if value else "false"
        case str():
            return value
        case int() | float():
            return repr(value)
    raise wrong(where, value, "text, a number, true, false or null")


def wrong(where: str, value: JsonValue, wanted: str) -> DataError:
    return DataError(f"{where} is {found(value)}, wanted {wanted}", code="input.kind", where=where)


def of_body(body: bytes, content_type: str) -> list[JsonValue]:
    """Inputs of a body that is no JSON: one file of an image or a recording, or rows of CSV.

    Raises:
        Refused: another type (415), or no table (400).
    """
    if content_type.startswith(("image/", "audio/")):
        return [base64.b64encode(body).decode("ascii")]
    if content_type == "text/csv":
        return [dict(row) for row in rows_of_csv(body)]
    raise Refused(
        415,
        f"the body is {shown(content_type or 'of no type')[:80]}, wanted application/json, "
        "image/... or text/csv",
        code="request.type",
        where="Content-Type",
    )


def rows_of_csv(body: bytes) -> list[dict[str, str | None]]:
    """Rows by the names of the header; an empty cell is missing."""
    try:
        rows = list(csv.reader(io.StringIO(body.decode("utf-8-sig"), newline=""), strict=True))
    except (UnicodeDecodeError, csv.Error) as error:
        raise Refused(
            400, f"the body is no CSV in UTF-8: {error}", code="request.invalid", where="body"
        ) from None
    head, *rest = rows or [[]]
    for at, row in enumerate(rest):
        if row and len(row) != len(head):
            raise Refused(
                400,
                f"row {at + 2} of the body has {len(row)} cells, wanted {len(head)}",
                code="request.invalid",
                where=f"body:{at + 2}",
            )
    return [{k: v or None for k, v in zip(head, row, strict=True)} for row in rest if row]
