"""The bytes of a text file as lines of UTF-8, without holding the whole twice; and which character
separates its columns."""

from __future__ import annotations

import codecs
import csv
import io
import re
from collections.abc import Iterator, Sequence
from itertools import islice

from metacli.data.files import shown
from metacli.errors import DataError

MAX_LINE = 64 * 2**20  # bytes; 20,000 columns of embeddings are a hundredth of it
SEPARATORS = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "bars"}
USUAL = {"csv": ",", "tsv": "\t", "tab": "\t", "psv": "|"}
LOOKED_AT = 2**18  # bytes, and as many records, that say what separates columns
RECORDS = 50
_CHUNK = 2**20
_STATED = re.compile(rb'"?sep=([,;\t|])"?[,;\t|]*\r?\n', re.IGNORECASE)
_NOT_TEXT = {
    b"PK\x03\x04": (
        "a ZIP archive or an Excel workbook",
        "unpack it first, or save the sheet as CSV",
    ),
    b"\xd0\xcf\x11\xe0": ("an old Excel workbook", "save the sheet as CSV"),
    b"\x1f\x8b": ("a gzip archive", "unpack it first"),
    b"SQLite format 3": ("a SQLite database", "write the table to a CSV"),
}


def lines_of(content: bytes, name: str) -> Iterator[str]:
    """The lines of a file with their ends, as UTF-8 without its byte order mark.

    Raises:
        DataError: another encoding, NUL, or a line of more than MAX_LINE bytes; row and column are
            named.
    """
    content = content.removeprefix(codecs.BOM_UTF8)
    _require_text(content, name)
    try:
        yield from io.TextIOWrapper(io.BytesIO(content), encoding="utf-8", newline="")
    except UnicodeDecodeError:
        what, hint = "is not UTF-8", "save it as UTF-8: iconv -f windows-1252 -t utf-8"
        raise _wrong_byte(content, _first_bad(content), name, what, hint) from None


def archive_of(content: bytes, name: str, wanted: str = "a table of text") -> DataError | None:
    """What is wrong with a file that is an archive, workbook or database; None of any other."""
    for magic, (what, hint) in _NOT_TEXT.items():
        if content.startswith(magic):
            message = f"{name} is {what}, not {wanted}"
            return DataError(message, code="table.format", where=name, hint=hint)
    return None


def _require_text(content: bytes, name: str) -> None:
    if (archive := archive_of(content, name)) is not None:
        raise archive
    place = content.find(b"\0")
    if content[:2] in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE):
        raise DataError(
            f"row 1, column 1 of {name} is UTF-16, wanted UTF-8",
            code="table.encoding",
            where=f"{name}:1, column 1",
            hint="iconv -f utf-16 -t utf-8",
        )
    if place >= 0:
        what, hint = "holds a NUL character", "is it damaged? save it as UTF-8"
        raise _wrong_byte(content, place, name, what, hint)
    begin = 0
    while len(content) - begin > MAX_LINE:
        end = max(content.rfind(mark, begin, begin + MAX_LINE) for mark in (b"\n", b"\r"))
        if end < 0:
            row = content.count(b"\n", 0, begin) + 1
            raise DataError(
                f"row {row} of {name}: a line of more than {MAX_LINE // 2**20} MiB",
                code="table.huge_field",
                where=f"{name}:{row}",
                hint="is a quotation mark left open?",
            )
        begin = end + 1


def _first_bad(content: bytes) -> int:
    """Where the first byte is that is not UTF-8."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    for begin in range(0, len(content), _CHUNK):
        held = len(decoder.getstate()[0])
        try:
            decoder.decode(content[begin : begin + _CHUNK], begin + _CHUNK >= len(content))
        except UnicodeDecodeError as error:
            return begin - held + error.start
    return len(content) - 1


def _wrong_byte(content: bytes, place: int, name: str, what: str, hint: str) -> DataError:
    """Names the row and column of a byte."""
    row = content.count(b"\n", 0, place) + 1
    line = content[content.rfind(b"\n", 0, place) + 1 : place]
    _, names_at = _stated(content)
    head = content[names_at:].split(b"\n", 1)[0].decode("utf-8", "replace").rstrip("\r")
    mark = next((one for one in ("\t", ",", ";", "|") if one in head), ",")
    number = line.count(mark.encode())
    names = head.split(mark)
    column = shown(names[number].strip('"')) if number < len(names) else str(number + 1)
    return DataError(
        f"row {row}, column {column} of {name} {what} (byte {place:,})",
        code="table.encoding",
        where=f"{name}:{row}, column {column}",
        hint=hint,
    )


def stated_separator(content: bytes) -> str | None:
    """What a first line such as `sep=;`, which Excel writes and reads, says of the others."""
    return _stated(content)[0]


def _stated(content: bytes) -> tuple[str | None, int]:
    """The same, and where the line after it begins."""
    found = _STATED.match(content, len(codecs.BOM_UTF8) if content[:3] == codecs.BOM_UTF8 else 0)
    return (None, 0) if found is None else (found[1].decode(), found.end())


def separator_of(content: bytes, ending: str) -> str:
    """What separates the columns: that which divides the first records alike into two or more.

    The character that the ending promises wins where it does, and where none does.
    """
    usual = USUAL.get(ending, ",")
    found = {one: _widths(content, one) for one in SEPARATORS}
    if not alike(found[usual]):
        fitting = [one for one, widths in found.items() if alike(widths)]
        headed = [one for one, widths in found.items() if widths and widths[0] > 1]
        if fitting:
            return max(fitting, key=lambda one: found[one][0])
        if headed and usual not in headed:
            return max(headed, key=lambda one: found[one][0])
    return usual


def looks_like_table(content: bytes) -> bool:
    """Whether a file of an unknown ending has rows of the same columns, two or more of each."""
    try:
        _require_text(content, "")
    except DataError:
        return False
    _, begin = _stated(content[:LOOKED_AT])
    found = [_widths(content[begin:], one) for one in SEPARATORS]
    return any(alike(widths) and len(widths) > 1 for widths in found)


def alike(widths: Sequence[int]) -> bool:
    """Whether all records have as many columns, two or more."""
    return bool(widths) and widths[0] > 1 and len(set(widths)) == 1


def _widths(content: bytes, separator: str) -> list[int]:
    """Columns of each of the first records; the last may be cut off, and does not count."""
    head = content[:LOOKED_AT].removeprefix(codecs.BOM_UTF8).decode("utf-8", "replace")
    lines = io.StringIO(head, newline="")
    widths: list[int] = []
    try:
        records = csv.reader(lines, delimiter=separator)
        widths.extend(len(record) for record in islice(records, RECORDS) if record)
    except csv.Error:
        pass  # a huge field: the reader names it
    return widths[:-1] if len(content) > LOOKED_AT and len(widths) > 1 else widths
