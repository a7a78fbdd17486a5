"""The one door for a user's examples: decides what a path holds, lists it, decodes it.

First match wins: a task file; a table of support; support (or train) and query; pools of disjoint
classes; class folders; a folder of tasks; loose images; a table. `LISTERS` says which kinds of
content this version reads.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from metacli.data.files import Entries, mode_of, read_regular, scan, shown, unopened
from metacli.data.images import ImageSpec
from metacli.data.tables.choice import NOTHING_SAID, Choice
from metacli.data.tables.lines import archive_of
from metacli.data.user.content import Content
from metacli.data.user.image_folders import SUPPORT_NAMES, list_images
from metacli.data.user.listing import Listing, Row, Survey, is_table, kind_of, refused
from metacli.data.user.loading import Examples, Report, Task, say_nothing
from metacli.data.user.problems import nothing_usable
from metacli.data.user.row_loading import RowSpec
from metacli.data.user.table_layouts import list_tables
from metacli.data.user.task_yaml import NAME as TASK_FILE
from metacli.data.user.task_yaml import list_task_file
from metacli.data.user.text_folders import holds_texts, list_texts
from metacli.errors import DataError

__all__ = [
    "Content",
    "Examples",
    "Listing",
    "Reading",
    "Row",
    "RowSpec",
    "Task",
    "list_inputs",
    "list_task",
    "load_task",
    "look",
    "survey_task",
    "tasks_below",
]


@dataclass(frozen=True)
class Reading:
    """How a user's examples are read.

    Args:
        choice: what the user states about the columns of tables.
        skip_bad: leave out files that cannot be read.
        allow_duplicates: go on with examples that are in support and query or under two labels.
    """

    choice: Choice = NOTHING_SAID
    skip_bad: bool = False
    allow_duplicates: bool = False


def list_task(path: Path, *, skip_bad: bool = False, choice: Choice = NOTHING_SAID) -> Listing:
    """What `path` holds: a task, a set of tasks, pools of classes or loose inputs. Decodes nothing.

    Args:
        path: a folder or a file.
        skip_bad: links, pipes and devices become warnings.
        choice: what the user states about the columns of tables.

    Raises:
        DataError: nothing usable, or the path is missing; all problems are in its findings.
    """
    return look(path, choice).checked(skip_bad=skip_bad)


def survey_task(path: Path, choice: Choice = NOTHING_SAID, only: Entries | None = None) -> Listing:
    """As `list_task`, but problems stay in the findings, for whoever wants to show them all.

    Args:
        only: the entries of the folder that count; None: all of them.
    Raises:
        DataError: the path is missing, or holds nothing that this version reads.
    """
    if only is None:
        kind, entries = _recognise(path, choice)
    else:
        kind, entries = _recognise_folder(path, only, choice), only
    lister = LISTERS.get(kind)
    if lister is None:
        raise DataError(
            f"{shown(path)} is plain text; examples are read from tables and folders of classes",
            code="data.kind_not_supported",
            where=shown(path),
            hint="a CSV with the columns text and label, or a folder of text files for each class",
        )
    return lister(path, entries, survey_task, choice)


def tasks_below(path: Path, choice: Choice) -> tuple[Path, ...]:
    """The tasks in a folder of tasks, each a folder or table of its own; () for anything else.

    Raises:
        DataError: the path is missing or holds nothing that is read here.
    """
    return look(path, choice).tasks if path.is_dir() else ()


def load_task(
    path: Path,
    spec: ImageSpec | RowSpec,
    *,
    onto: Sequence[tuple[Path, Choice]] = (),
    choice: Choice = NOTHING_SAID,
    skip_bad: bool = False,
    allow_duplicates: bool = False,
    one_class: bool = False,
    report: Report = say_nothing,
) -> Task:
    """Decodes the task at `path`; all problems of all files are collected into one error.

    Args:
        path: a folder that `list_task` calls a task.
        spec: the images, texts or rows that the model wants.
        onto: earlier tasks that these examples are added to, each with what was stated about its
            columns; all of them become one.
        choice: what the user states about the columns of tables.
        skip_bad: leave out files that cannot be read; they are counted in `Task.skipped`.
        allow_duplicates: go on with images that are in support and query or under two labels;
            they are counted in `Task.duplicates`.
        one_class: a single class will do, as of examples to score.
        report: called with (what, done, total) after each image.

    Raises:
        DataError: not a task, or problems; the first 20 are in its findings.
    """
    return look(path, choice, spec).load(
        spec,
        onto=onto,
        skip_bad=skip_bad,
        allow_duplicates=allow_duplicates,
        one_class=one_class,
        report=report,
    )


def look(
    path: Path, choice: Choice = NOTHING_SAID, spec: ImageSpec | RowSpec | None = None
) -> Content:
    """What `path` holds, to be loaded later.

    Args:
        spec: the input that it is for, where that is known: its model may know what the columns
            are called.

    Raises:
        DataError: as `survey_task`.
    """
    if isinstance(spec, RowSpec):
        choice = choice.completed(spec)
    return Content(path, choice, survey_task(path, choice), survey_task)


def list_inputs(paths: Sequence[Path]) -> Iterator[Path]:
    """Every file to predict, in the order given; folders are walked in byte order of full paths.

    Nothing is left out but hidden and system files: a missing path, a link, a pipe, a folder
    without files are given out too, and the reader says what is wrong with them, row by row. A link
    that was itself named is followed.
    """
    for path in paths:
        target = Path(os.path.realpath(path)) if stat.S_ISLNK(mode_of(path)) else path
        if stat.S_ISDIR(mode_of(target)):
            yield from _walk(target)
        else:
            yield target


def _walk(folder: Path) -> Iterator[Path]:
    """Files below a folder; one without files, or that may not be listed, stands for itself."""
    stack = [(folder, True)]
    while stack:
        path, is_folder = stack.pop()
        if not is_folder:
            yield path
            continue
        try:
            entries = scan(path)
        except DataError:
            yield path  # the reader names the reason
            continue
        files = [*entries.files, *entries.links, *entries.specials]
        found = [(os.fsencode(name), name, False) for name in files]
        found += [(os.fsencode(name) + b"/", name, True) for name in entries.folders]
        if not found:
            yield path
        stack += [(path / name, inner) for _, name, inner in sorted(found, reverse=True)]


def _recognise(path: Path, choice: Choice) -> tuple[str, Entries | None]:
    """The kind of content, and the entries of a folder."""
    try:
        is_folder = stat.S_ISDIR(path.stat().st_mode)  # a link that was itself named is followed
    except (OSError, ValueError) as error:
        raise unopened(path, error) from error
    if not is_folder:
        kind = kind_of(path.name)
        if kind in LISTERS:
            return kind, None
        if is_table(path):
            return "table", None  # whatever it is called
        if kind is None:
            archive = archive_of(read_regular(path), shown(path), "a folder, image or table")
            if archive is not None:
                raise archive
            raise nothing_usable(path, "is neither a folder, nor an image, nor a table")
        return kind, None
    entries = scan(path, follow=choice.follow_links)
    return _recognise_folder(path, entries, choice), entries


def _recognise_folder(path: Path, entries: Entries, choice: Choice) -> str:
    if TASK_FILE in entries.files:
        return "task file"
    tables = [name for name in entries.files if kind_of(name) == "table"]
    if any(name.startswith(tuple(f"{word}." for word in SUPPORT_NAMES)) for name in tables):
        return "table"
    if entries.folders and not tables and holds_texts(path, entries, choice):
        return "text folders"
    if entries.folders:
        # One table beside one folder: the table names the images in it.
        return "table" if len(tables) == 1 and len(entries.folders) == 1 else "images"
    if any(kind_of(name) == "images" for name in entries.files):
        return "images"
    if tables:
        return "table"
    problems = refused(path, entries)
    raise nothing_usable(path, "has no class folders and no images", problems)


Lister = Callable[[Path, Entries | None, Survey, Choice], Listing]

# One more entry here reads one more kind of content. A lister gets the path, its entries (None: a
# file), what lists the folders inside, and what is stated about columns.
LISTERS: dict[str, Lister] = {
    "images": list_images,
    "table": list_tables,
    "task file": list_task_file,
    "text folders": list_texts,
}
