"""The formats of tables: separated columns, JSON lines, Parquet; from bytes to columns of text.

Rows are taken over into a frame of strings by the block, so that a file needs a few times its own
size in memory and not fifty times.
"""

from __future__ import annotations

import csv
import io
import json
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from typing import TYPE_CHECKING, NoReturn

from metacli.data.files import shown
from metacli.data.plain import Plain
from metacli.data.tables.cells import FEW, MISSING, columns_of
from metacli.data.tables.lines import SEPARATORS, USUAL, lines_of, separator_of, stated_separator
from metacli.data.tables.spelled_numbers import COMMAS, plain_numbers, with_points, without_groups
from metacli.errors import DataError

if TYPE_CHECKING:
    import polars as pl

MAX_FIELD = 2**20  # characters in one cell; a longer one is a quote that was never closed
BLOCK = 20_000  # rows

UNNAMED = "unnamed"  # which `kinds` takes for the name of an identifier

Cells = Sequence[str | None]
Read = tuple["pl.DataFrame", int, tuple[str, ...]]
"""A frame of strings, the number of its first row, what was guessed."""


def _separated(content: bytes, ending: str, name: str) -> Read:
    """CSV, TSV, and the same with semicolons or bars."""
    stated = stated_separator(content)
    separator = stated or separator_of(content, ending)
    row = 1 if stated is None else 2  # of the header: what is told is the row of the file
    before = csv.field_size_limit(MAX_FIELD)
    try:
        lines = islice(lines_of(content, name), row - 1, None)
        records = _records(lines, separator, name, row - 1)
        first = next(records, [])
        header = _checked_header(with_names(first), name, row)
        cells = _framed(header, _same_width(records, header, name, row + 1))
        frame, empty = without_empty(cells, first)
    finally:
        csv.field_size_limit(before)
    guessed = [*empty]
    if separator != USUAL.get(ending):
        guessed.append(f"columns are separated by {SEPARATORS[separator]}")
    changed: list[str] = []
    if separator == ";":  # elsewhere a comma may stand between thousands
        frame, changed = with_points(frame, MISSING)
        if changed:
            guessed.append(f"decimal commas in {', '.join(map(shown, changed[:12]))}")
    frame, spelled = plain_numbers(frame, MISSING)
    if separator == ";" and (changed or COMMAS in spelled):
        frame, grouped = without_groups(frame, MISSING)
        if grouped:
            guessed.append(f"points between thousands in {', '.join(map(shown, grouped[:12]))}")
    guessed += [f"{how} in {', '.join(map(shown, of[:12]))}" for how, of in spelled.items()]
    return frame, row + 1, tuple(guessed)


def _records(lines: Iterable[str], separator: str, name: str, before: int) -> Iterator[list[str]]:
    """The records that are not empty, after so many rows `before`. Raises DataError: quotes, or a
    huge field."""
    number, last = before, ""
    reader = csv.reader(lines, delimiter=separator, strict=True)
    try:
        for record in reader:
            if record:
                number += 1
                last = record[0] if number > before + 1 else ""
                yield record
    except csv.Error as error:
        column = f", after {shown(last[:20])!r}" if number > before + 1 else ""
        huge = "field larger" in str(error)
        what = (
            f"a field of more than {MAX_FIELD:,} characters"
            if huge
            else f"{shown(str(error))}, in quotes"
        )
        raise DataError(
            f"row {number + 1} of {name}{column}: {what}",
            code="table.huge_field" if huge else "table.quotes",
            where=f"{name}:{number + 1}",
            hint="is a quotation mark left open?",
        ) from None


def _same_width(
    records: Iterable[list[str]], header: Sequence[str], name: str, first: int
) -> Iterator[list[str]]:
    for number, record in enumerate(records, first):
        if len(record) != len(header):
            raise _ragged(record, header, number, name)
        yield record


def with_names(header: Sequence[str]) -> list[str]:
    """The header with a name for columns that have none: the first, as pandas writes its index, and
    the last ones, as a separator at the end of each row makes them."""
    names = [one.strip() for one in header]
    last = max((number for number, one in enumerate(names) if one), default=-1)
    if last < 0:
        return names
    filled = names[:1] if names[0] else [UNNAMED]
    return [
        *filled,
        *names[1 : last + 1],
        *(f"{UNNAMED} {n + 1}" for n in range(last + 1, len(names))),
    ]


def without_empty(
    frame: pl.DataFrame, header: Sequence[str]
) -> tuple[pl.DataFrame, tuple[str, ...]]:
    """Without the columns that had no name and hold nothing; and that in words."""
    nameless = [one for one, was in zip(frame.columns, header, strict=True) if not was.strip()]
    empty = [one for one in nameless if frame[one].str.strip_chars().is_in(["", None]).all()]
    if not empty or len(empty) == len(frame.columns):
        return frame, ()
    return frame.drop(empty), (f"{len(empty)} empty column without a name is left out",)


def _checked_header(names: Sequence[str], name: str, row: int = 1) -> list[str]:
    """Raises DataError for a column without a name or with that of a pattern, or two of one
    name."""
    stripped = [one.strip() for one in names]
    for number, one in enumerate(stripped, 1):
        if not one:
            raise DataError(
                f"column {number} of {name} has no name in row {row}",
                code="table.no_name",
                where=f"{name}:{row}, column {number}",
                hint="name it; pandas writes such a column without index=False",
            )
    twice = [one for one, count in Counter(stripped).items() if count > 1]
    if twice:
        raise DataError(
            f"two columns of {name} are called {shown(twice[0])!r}",
            code="table.same_name",
            where=f"{name}:{row}, column {shown(twice[0])}",
            hint="rename one of them",
        )
    patterns = [one for one in stripped if one.startswith("^") and one.endswith("$")]
    if patterns:  # which polars takes for all columns that match it
        raise DataError(
            f"column {shown(patterns[0])} of {name} is called like a pattern",
            code="table.pattern_name",
            where=f"{name}:{row}, column {shown(patterns[0])}",
            hint="rename it, without ^ and $",
        )
    return stripped


def _ragged(record: Sequence[str], header: Sequence[str], row: int, name: str) -> DataError:
    short = len(record) < len(header)
    column = header[len(record)] if short else header[-1]
    what = f"ends before column {shown(column)}" if short else f"goes on after {shown(column)}"
    hint = "is a separator inside a cell that is not quoted?"
    if header[0].lstrip().startswith("#"):
        hint = "leave out the comment lines above the names of the columns"
    return DataError(
        f"row {row} of {name} has {len(record)} cells where the header has {len(header)}: "
        f"it {what}",
        code="table.ragged",
        where=f"{name}:{row}, column {shown(column)}",
        hint=hint,
    )


def _json_lines(content: bytes, ending: str, name: str) -> Read:
    """One JSON object a line; a key that a line lacks is a missing cell."""
    import polars as pl  # slow to import

    frames, rows = [], list[dict[str, str | None]]()
    names: dict[str, None] = {}
    for number, line in enumerate(lines_of(content, name), 1):
        if not line.strip():
            continue
        rows.append(_json_row(line, number, name))
        names.update(dict.fromkeys(rows[-1]))
        if len(rows) == BLOCK:
            frames.append(_json_frame(names, rows))
            rows = []
    frames.append(_json_frame(names, rows))
    frame = pl.concat(frames, how="diagonal")
    return frame.rename(dict(zip(names, _checked_header(list(names), name), strict=True))), 1, ()


def _json_row(line: str, number: int, name: str) -> dict[str, str | None]:
    try:
        found = json.loads(
            line, object_pairs_hook=_object, parse_constant=_no_number, parse_int=str
        )
        if not isinstance(found, dict):
            raise ValueError("not an object")
        return {_word(key): _cell(value, key) for key, value in found.items()}
    except (ValueError, RecursionError) as error:
        reason = str(error) if isinstance(error, ValueError) else "nested too deeply"
        raise DataError(
            f"row {number} of {name}: {shown(reason)}",
            code="table.json",
            where=f"{name}:{number}",
            hint='one object a line, such as {"text": "hello", "label": "greeting"}',
        ) from None


def _json_frame(names: Iterable[str], rows: Sequence[dict[str, str | None]]) -> pl.DataFrame:
    return frame_of(list(names), [[row.get(key) for row in rows] for key in names])


def _object(pairs: list[tuple[str, Plain]]) -> dict[str, Plain]:
    twice = [key for key, count in Counter(key for key, _ in pairs).items() if count > 1]
    if twice:
        raise ValueError(f"key {twice[0]!r} twice")
    return dict(pairs)


def _no_number(word: str) -> NoReturn:
    raise ValueError(f"{word} is not a finite number")


def _cell(value: Plain, key: str) -> str | None:
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
        raise ValueError(HUGE)
    return text


HUGE = f"a field of more than {MAX_FIELD:,} characters"


def _parquet(content: bytes, ending: str, name: str) -> Read:
    """A child process reads it, for polars ends its own process over some damaged files."""
    import polars as pl  # slow to import

    broken = f"{name} is not a Parquet file that can be read"
    if not content.startswith(b"PAR1") or not content.endswith(b"PAR1"):
        raise DataError(broken, code="table.parquet", where=name)
    command = [sys.executable, "-I", "-c", _PARQUET_CHILD]
    child = subprocess.run(command, input=content, capture_output=True, check=False)
    if child.returncode in (NESTED, TOO_LONG):
        column, dtype = child.stderr.decode("utf-8", "replace").split("\0")[-2:]
        nested = child.returncode == NESTED
        what = f"holds {shown(dtype)}, wanted text or numbers" if nested else f"has {HUGE}"
        raise DataError(
            f"column {shown(column)} of {name} {what}",
            code="table.nested" if nested else "table.huge_field",
            where=f"{name}, column {shown(column)}",
        )
    if child.returncode:
        raise DataError(broken, code="table.parquet", where=name)
    frame = pl.read_ipc(io.BytesIO(child.stdout))
    _checked_header(frame.columns, name)
    return frame, 1, ()


NESTED, TOO_LONG = 3, 4
_PARQUET_CHILD = f"""
import io, sys
import polars as pl
def refuse(column, dtype, code):
    sys.stderr.write("\\0" + column + "\\0" + str(dtype))
    sys.exit(code)
content = io.BytesIO(sys.stdin.buffer.read())
for one, dtype in pl.read_parquet_schema(content).items():
    if dtype.is_nested() or dtype in (pl.Binary, pl.Object):
        refuse(one, dtype, {NESTED})
content.seek(0)
frame = pl.read_parquet(content, use_statistics=False)
for one in frame.columns:
    if frame[one].dtype == pl.String and (frame[one].str.len_chars().max() or 0) > {MAX_FIELD}:
        refuse(one, "", {TOO_LONG})
out = io.BytesIO()
frame.select(pl.all().cast(pl.String)).write_ipc(out)
sys.stdout.buffer.write(out.getvalue())
"""


def _framed(names: Sequence[str], records: Iterable[Sequence[str]]) -> pl.DataFrame:
    """A frame of records, taken over block by block."""
    import polars as pl  # slow to import

    frames, block = [], list[Sequence[str]]()
    for record in records:
        block.append(record)
        if len(block) == BLOCK:
            frames.append(frame_of(names, list(zip(*block, strict=True))))
            block = []
    frames.append(frame_of(names, list(zip(*block, strict=True))))
    return pl.concat(frames)


def frame_of(names: Sequence[str], columns: Sequence[Cells]) -> pl.DataFrame:
    import polars as pl  # slow to import

    if columns and len(columns) * len(columns[0]) <= FEW:  # a series for each would take longer
        cells = [cell for one in columns for cell in one]
        return columns_of(pl.Series("cell", cells, pl.String), names)
    given = columns or [()] * len(names)
    pairs = zip(names, given, strict=True)
    return pl.DataFrame({one: pl.Series(one, list(cells), pl.String) for one, cells in pairs})


READERS: dict[str, Callable[[bytes, str, str], Read]] = {
    "csv": _separated,
    "tsv": _separated,
    "tab": _separated,
    "psv": _separated,
    "jsonl": _json_lines,
    "ndjson": _json_lines,
    "parquet": _parquet,
}
separated = _separated  # of a file whose ending says nothing
