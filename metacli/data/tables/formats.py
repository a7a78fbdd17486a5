"""The formats of tables: CSV and TSV, JSON lines, Parquet; each from bytes to columns of text."""

from __future__ import annotations

import csv
import io
import json
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

from metacli.data.files import shown
from metacli.errors import DataError

MAX_FIELD = 2**20  # characters in one cell; a longer one is a quote that was never closed
SEPARATORS = {"csv": ",", "tsv": "\t"}

Read = tuple[Any, int, tuple[str, ...]]
"""A polars DataFrame of strings, the number of its first row, what was guessed."""


def _separated(content: bytes, ending: str, name: str) -> Read:
    """CSV and TSV."""
    text = _decoded(content, name)
    head = text.split("\n", 1)[0]
    separator = SEPARATORS[ending]
    guessed: tuple[str, ...] = ()
    if ending == "csv" and "," not in head and ";" in head:
        separator, guessed = ";", ("columns are separated by semicolons",)
    header: list[str] | None = None
    records: list[list[str]] = []
    before = csv.field_size_limit(MAX_FIELD)
    try:
        for record in csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True):
            if not record:
                continue  # an empty line
            if header is None:
                header = _checked_header(record, name)
            elif len(record) != len(header):
                raise _ragged(record, header, len(records) + 2, name)
            else:
                records.append(record)
    except csv.Error as error:
        row = len(records) + (1 if header is None else 2)
        column = "" if header is None or not records else f", after {shown(records[-1][0][:20])!r}"
        huge = "field larger" in str(error)
        what = (
            f"a field of more than {MAX_FIELD:,} characters"
            if huge
            else f"{shown(str(error))}, in quotes"
        )
        raise DataError(
            f"row {row} of {name}{column}: {what}",
            code="table.huge_field" if huge else "table.quotes",
            where=f"{name}:{row}",
            hint="is a quotation mark left open?",
        ) from None
    finally:
        csv.field_size_limit(before)
    columns = list(zip(*records, strict=True)) if records else []
    return _frame(header or [], columns), 2, guessed


def _decoded(content: bytes, name: str) -> str:
    """UTF-8 without its byte order mark. Raises DataError: another encoding, or NUL."""
    content = content.removeprefix(b"\xef\xbb\xbf")
    place = content.find(b"\0")
    if place < 0:
        try:
            return content.decode("utf-8")
        except UnicodeDecodeError as error:
            place = error.start
            what, hint = "is not UTF-8", "save it as UTF-8: iconv -f latin1 -t utf-8"
    else:
        what, hint = "holds a NUL character", "is it damaged? save it as UTF-8"
        if content[:2] in (b"\xff\xfe", b"\xfe\xff"):
            raise DataError(
                f"row 1, column 1 of {name} is UTF-16, wanted UTF-8",
                code="table.encoding",
                where=f"{name}:1, column 1",
                hint="iconv -f utf-16 -t utf-8",
            )
    lines = content[:place].decode("latin-1").splitlines() or [""]
    row = content[:place].count(b"\n") + 1
    head = content.split(b"\n", 1)[0].decode("utf-8", "replace").rstrip("\r")
    mark = "\t" if "\t" in head else ";" if "," not in head and ";" in head else ","
    number = (lines[-1] if content[place - 1 : place] != b"\n" else "").count(mark)
    names = head.split(mark)
    column = shown(names[number].strip('"')) if number < len(names) else str(number + 1)
    raise DataError(
        f"row {row}, column {column} of {name} {what} (byte {place:,})",
        code="table.encoding",
        where=f"{name}:{row}, column {column}",
        hint=hint,
    )


def _checked_header(names: list[str], name: str) -> list[str]:
    """Raises DataError for a column without a name, or two of one name."""
    stripped = [one.strip() for one in names]
    for number, one in enumerate(stripped, 1):
        if not one:
            raise DataError(
                f"column {number} of {name} has no name in row 1",
                code="table.no_name",
                where=f"{name}:1, column {number}",
                hint="name it; pandas writes such a column without index=False",
            )
    twice = [one for one, count in Counter(stripped).items() if count > 1]
    if twice:
        raise DataError(
            f"two columns of {name} are called {shown(twice[0])!r}",
            code="table.same_name",
            where=f"{name}:1, column {shown(twice[0])}",
            hint="rename one of them",
        )
    return stripped


def _ragged(record: list[str], header: list[str], row: int, name: str) -> DataError:
    short = len(record) < len(header)
    column = header[len(record)] if short else header[-1]
    what = f"ends before column {shown(column)}" if short else f"goes on after {shown(column)}"
    return DataError(
        f"row {row} of {name} has {len(record)} cells where the header has {len(header)}: "
        f"it {what}",
        code="table.ragged",
        where=f"{name}:{row}, column {shown(column)}",
        hint="is a separator inside a cell that is not quoted?",
    )


def _json_lines(content: bytes, ending: str, name: str) -> Read:
    """One JSON object a line; a key that a line lacks is a missing cell."""
    rows: list[dict[str, str | None]] = []
    names: dict[str, None] = {}
    for number, line in enumerate(_decoded(content, name).split("\n"), 1):
        if not line.strip():
            continue
        try:
            found = json.loads(
                line, object_pairs_hook=_object, parse_constant=_no_number, parse_int=str
            )
            if not isinstance(found, dict):
                raise ValueError("not an object")
            row = {_word(key): _cell(value, key) for key, value in found.items()}
        except (ValueError, RecursionError) as error:
            reason = str(error) if isinstance(error, ValueError) else "nested too deeply"
            raise DataError(
                f"row {number} of {name}: {shown(reason)}",
                code="table.json",
                where=f"{name}:{number}",
                hint='one object a line, such as {"text": "hello", "label": "greeting"}',
            ) from None
        rows.append(row)
        names.update(dict.fromkeys(row))
    columns = [[row.get(key) for row in rows] for key in names]
    return _frame(_checked_header(list(names), name), columns), 1, ()


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    twice = [key for key, count in Counter(key for key, _ in pairs).items() if count > 1]
    if twice:
        raise ValueError(f"key {twice[0]!r} twice")
    return dict(pairs)


def _no_number(word: str) -> Any:
    raise ValueError(f"{word} is not a finite number")


def _cell(value: Any, key: str) -> str | None:
    """A cell of a typed file as text; numbers so that they read back the same."""
    if value is None:
        return None
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return _word(value)
    if isinstance(value, int | float):
        return repr(value)
    raise ValueError(f"column {key!r} holds a list or an object, wanted text or a number")


def _word(text: str) -> str:
    if "\0" in text or re.search("[\ud800-\udfff]", text):
        raise ValueError(f"{text[:20]!r} holds NUL or half a character")
    if len(text) > MAX_FIELD:
        raise ValueError(f"a field of more than {MAX_FIELD:,} characters")
    return text


def _parquet(content: bytes, ending: str, name: str) -> Read:
    """A child process reads it, for polars ends its own process over some damaged files."""
    import polars as pl

    broken = f"{name} is not a Parquet file that can be read"
    if not content.startswith(b"PAR1") or not content.endswith(b"PAR1"):
        raise DataError(broken, code="table.parquet", where=name)
    command = [sys.executable, "-I", "-c", _PARQUET_CHILD]
    child = subprocess.run(command, input=content, capture_output=True, check=False)
    if child.returncode == NESTED:
        column, dtype = child.stderr.decode("utf-8", "replace").split("\0")[-2:]
        raise DataError(
            f"column {shown(column)} of {name} holds {shown(dtype)}, wanted text or numbers",
            code="table.nested",
            where=f"{name}, column {shown(column)}",
        )
    if child.returncode:
        raise DataError(broken, code="table.parquet", where=name)
    frame = pl.read_ipc(io.BytesIO(child.stdout))
    _checked_header(frame.columns, name)
    return frame, 1, ()


NESTED = 3
_PARQUET_CHILD = f"""
import io, sys
import polars as pl
frame = pl.read_parquet(io.BytesIO(sys.stdin.buffer.read()), use_statistics=False)
for one in frame.columns:
    if frame[one].dtype.is_nested() or frame[one].dtype in (pl.Binary, pl.Object):
        sys.stderr.write("\\0" + one + "\\0" + str(frame[one].dtype))
        sys.exit({NESTED})
out = io.BytesIO()
frame.select(pl.all().cast(pl.String)).write_ipc(out)
sys.stdout.buffer.write(out.getvalue())
"""


def _frame(names: Sequence[str], columns: Sequence[Sequence[str | None]]) -> Any:
    import polars as pl

    given = columns or [()] * len(names)
    pairs = zip(names, given, strict=True)
    return pl.DataFrame({one: pl.Series(one, list(cells), pl.String) for one, cells in pairs})


READERS: dict[str, Callable[[bytes, str, str], Read]] = {
    "csv": _separated,
    "tsv": _separated,
    "jsonl": _json_lines,
    "parquet": _parquet,
}
