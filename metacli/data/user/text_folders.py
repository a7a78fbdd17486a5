"""Class folders of text files, one text in each: read as a table of the columns text and label."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from metacli.data.files import Entries, read_regular, scan, shown
from metacli.data.tables.choice import Choice
from metacli.data.tables.formats import frame_of
from metacli.data.tables.reader import Table
from metacli.data.user.image_folders import QUERY_NAMES, SUPPORT_NAMES, require_no_columns
from metacli.data.user.listing import (
    ClassFolders,
    Listing,
    Row,
    Survey,
    kind_of,
    list_class_folders,
    split_problems,
)
from metacli.data.user.problems import as_finding
from metacli.data.user.table_layouts import list_rows
from metacli.errors import DataError, Finding

COLUMNS = ("text", "label")


def holds_texts(path: Path, entries: Entries, choice: Choice) -> bool:
    """Whether the class folders, or those of support and query, hold texts and no images."""
    kinds: set[str | None] = set()
    for folder in folders_of(path, entries, choice):
        try:
            inside = scan(folder, follow=choice.follow_links)
        except DataError:  # named where the folder is read
            continue
        kinds |= {kind_of(name) for name in inside.files}
    return "text" in kinds and not kinds & {"images", "table"}


def folders_of(path: Path, entries: Entries, choice: Choice) -> list[Path]:
    """The class folders."""
    halves = [name for name in entries.folders if name in (*SUPPORT_NAMES, *QUERY_NAMES)]
    found = [path / name for name in entries.folders]
    for half in halves:
        try:
            inside = scan(path / half, follow=choice.follow_links)
        except DataError:
            continue
        if inside.folders and not inside.files:
            found += [path / half / name for name in inside.folders]
    return found


def list_texts(path: Path, entries: Entries | None, survey: Survey, choice: Choice) -> Listing:
    """Lists class folders of text files, or support and query folders of them.

    Raises:
        UsageProblem: columns were named.
        DataError: nothing usable.
    """
    assert entries is not None  # a file by itself is not recognised as this
    require_no_columns(choice)
    support_name = next((one for one in SUPPORT_NAMES if one in entries.folders), None)
    query_name = next((one for one in QUERY_NAMES if one in entries.folders), None)
    split = support_name is not None and bool(scan(path / support_name).folders)
    first = path / support_name if split and support_name is not None else path
    support, problems = texts_of(first, None if split else entries, choice)
    query: tuple[ClassFolders, Table] | None = None
    guessed = ["text = content of a file", "label = folder name"]
    if split:
        guessed.insert(0, f"support = {support_name}")
    if split and query_name is not None:
        query, more = texts_of(path / query_name, None, choice)
        problems += more
        guessed.insert(1, f"query = {query_name}")
    asked = None if query is None else query[1]
    own = replace(choice, usual_input=COLUMNS[0], usual_target=COLUMNS[1], whole="text")
    found = list_rows(path, support[1], asked, path / "text", own)
    problems += split_problems(path, support[0], None if query is None else query[0])
    return replace(found, guessed=tuple(guessed), findings=tuple(problems))


def texts_of(
    folder: Path, entries: Entries | None, choice: Choice
) -> tuple[tuple[ClassFolders, Table], list[Finding]]:
    """The texts of class folders as a table, and what is wrong with them."""
    classes = list_class_folders(folder, entries, follow=choice.follow_links)
    problems = list(classes.findings)
    cells: list[tuple[str, str]] = []
    for row in classes.rows:
        try:
            cells.append((text_of(row), row.label or ""))
        except DataError as error:
            problems.append(as_finding(error))
    texts, labels = zip(*cells, strict=True) if cells else ((), ())
    return (classes, table_of(folder, texts, labels)), problems


def text_of(row: Row) -> str:
    """A file as one text without the blanks around it. Raises DataError naming the file."""
    name = shown(row.path)
    try:
        text = read_regular(row.path).decode("utf-8-sig").strip()
    except UnicodeDecodeError as error:
        raise DataError(
            f"{name} is not UTF-8 text (byte {error.start:,})",
            code="data.not_text",
            where=name,
            hint="save it as UTF-8, or move it out of the class folder",
        ) from None
    if not text:
        raise DataError(f"{name} is empty", code="data.empty_text", where=name)
    return text


def table_of(folder: Path, texts: Sequence[str], labels: Sequence[str]) -> Table:
    """Raises DataError where no text is left."""
    if not texts:
        raise DataError(
            f"{shown(folder)} has no text that can be read",
            code="data.nothing_usable",
            where=shown(folder),
        )
    return Table(shown(folder.name), frame_of(COLUMNS, (texts, labels)), 1)
