"""A user's own sets of tasks, to learn from: what lies there, and which columns mean what.

    folders   SETS/<set>/<task>/support|query/<class>/<image or recording>, or <task>/<class>/...
    tables    SETS/<set>/<task>.csv, a table for each task
    table     one table; data.set=COLUMN names the set of a row, data.task=COLUMN its task, or
              data.target=A,B are a task each

SETS may hold train, val and test of sets; otherwise the sets are divided 64/16/20 %, in the order
of the SHA-256 of their names.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from metacli.data.files import scan, shown
from metacli.data.multi_task.from_tables import Piece
from metacli.data.multi_task.from_user import piece_of
from metacli.data.tables.choice import Choice, names_in, type_in
from metacli.data.tables.reader import Table, read_table
from metacli.data.user.image_folders import QUERY_NAMES, SUPPORT_NAMES
from metacli.data.user.listing import Listing, is_table, kind_of
from metacli.data.user.open import list_task
from metacli.errors import DataError

SPLITS = ("train", "val", "test")
HINT = "SETS/<set>/<task>/<class>/..., SETS/<set>/<task>.csv, or one table with data.set=COLUMN"


@dataclass(frozen=True)
class OwnSets:
    """What is said of the files.

    Args:
        set: the column that names the set of a row. task: the column that names its task.
        target: the column to predict; several, with commas, are a task each.
        input: columns to predict from, with commas; all others where it is empty.
        type: classification or regression, where the cells leave it open.
        size, channels: images are made that large, in grey (1) or colour (3).
        encoder: of texts: `hashed`, `tokens` for the backbone `words`, or
        `sentence:NAME_OR_FOLDER`. features: of `hashed`.
    """

    set: str = ""
    task: str = ""
    target: str = ""
    input: str = ""
    type: str = ""
    size: int = 28
    channels: int = 1
    encoder: str = "hashed"
    features: int = 2048

    @property
    def targets(self) -> tuple[str, ...]:
        return names_in(self.target) or ()

    def choice(self) -> Choice:
        """What is stated of each table; several targets are named one by one."""
        return Choice(
            target=self.targets[0] if len(self.targets) == 1 else None,
            inputs=names_in(self.input),
            task=self.task or None,
            type=type_in(self.type or None),
        )


@dataclass(frozen=True)
class FoundSet:
    """A set as it lies there.

    Args:
        pieces: of tables, a task each. folders: of class folders, likewise.
        shared_rows: the tasks are targets of the same rows.
        split: train, val or test, where folders say it.
    """

    name: str
    pieces: tuple[Piece, ...] = ()
    folders: tuple[Listing, ...] = ()
    shared_rows: bool = False
    split: str | None = None

    @property
    def tasks(self) -> tuple[str, ...]:
        listed = tuple(shown(one.path.name) for one in self.folders)
        return tuple(one.task for one in self.pieces) or listed


def find_sets(path: Path, options: OwnSets) -> tuple[FoundSet, ...]:
    """The sets at a path, by name.

    Raises:
        DataError: no sets, a set without tasks, images beside tables, or tables that cannot be
            read.
    """
    if not path.is_dir():
        return of_one_table(read_table(path), path, options)
    names = scan(path).folders
    found: list[FoundSet] = []
    if names and set(names) <= set(SPLITS):
        for split in names:
            found += [replace(one, split=split) for one in of_folder(path / split, options)]
    else:
        found = of_folder(path, options)
    require_one_kind(path, found)
    return tuple(found)


def of_folder(path: Path, options: OwnSets) -> list[FoundSet]:
    """A set for each folder, or for each table with several targets or a column of tasks."""
    entries = scan(path)
    found = [of_set_folder(path / name, options) for name in entries.folders]
    for name in (one for one in entries.files if kind_of(one) == "table"):
        table = read_table(path / name)
        found.append(of_table(Path(name).stem, table, path / name, options))
    if not found:
        raise DataError(
            f"{shown(path)} holds no sets of tasks",
            code="sets.no_sets",
            where=shown(path),
            hint=HINT,
        )
    return found


def of_set_folder(path: Path, options: OwnSets) -> FoundSet:
    """SETS/<set>: a table or a folder of class folders for each task."""
    entries = scan(path)
    tables = [name for name in entries.files if kind_of(name) == "table"]
    name = shown(path.name)
    if tables and entries.folders:
        raise DataError(
            f"set {name} has tables and folders",
            code="sets.mixed_files",
            where=shown(path),
            hint="the tasks of a set are all tables, or all folders of class folders",
        )
    if tables:
        listings = [list_task(path / one, choice=options.choice()) for one in tables]
        return FoundSet(name, tuple(piece_of(one) for one in listings))
    listings = [list_task(path / one) for one in entries.folders]
    for one in listings:
        if one.what != "task" or one.kind != "images":
            raise DataError(
                f"{shown(one.path.name)} of set {name} holds {one.what} of {one.kind}, not a task "
                "of class folders",
                code="sets.not_a_task",
                where=shown(one.path),
                hint=HINT,
            )
    if not listings:
        raise DataError(
            f"set {name} has no task", code="sets.no_tasks", where=shown(path), hint=HINT
        )
    return FoundSet(name, folders=tuple(listings))


def of_one_table(table: Table, path: Path, options: OwnSets) -> tuple[FoundSet, ...]:
    """The sets of a table whose column `data.set` names them."""
    if not options.set:
        raise DataError(
            f"{table.name} is one table; which column names the set of a row?",
            code="sets.no_set_column",
            where=table.name,
            hint="data.set=COLUMN, and data.task=COLUMN or data.target=A,B",
        )
    parts = divided(table, options.set)
    return tuple(of_table(name, part, path, options) for name, part in parts.items())


def divided(table: Table, column: str) -> dict[str, Table]:
    """The rows of each name in a column, without that column; in the order of first mention."""
    rows: dict[str, list[int]] = {}
    for number, name in enumerate(named(table, column)):
        rows.setdefault(name, []).append(number)
    parts = {name: table.rows(own) for name, own in rows.items()}
    return {
        name: Table(part.name, part.frame.drop(column), part.first) for name, part in parts.items()
    }


def of_table(name: str, table: Table, path: Path, options: OwnSets) -> FoundSet:
    """The tasks of one set in a table: a column names them, or several targets are one each."""
    if len(options.targets) > 1:
        pieces = tuple(Piece(table.require(one), table, one) for one in options.targets)
        return FoundSet(shown(name), pieces, shared_rows=True)
    if not options.task:
        raise DataError(
            f"set {shown(name)} of {table.name} is one table; which of its rows are which task?",
            code="sets.no_tasks",
            where=table.name,
            hint="data.task=COLUMN names the task of a row; data.target=A,B are a task each",
        )
    parts, target = divided(table, options.task), target_of(table, options)
    return FoundSet(
        shown(name), tuple(Piece(shown(task), part, target) for task, part in parts.items())
    )


def target_of(table: Table, options: OwnSets) -> str:
    """The one target column."""
    if options.targets:
        return table.require(options.targets[0])
    usual = [one for one in table.columns if one in ("label", "target", "class", "y")]
    if len(usual) == 1:
        return usual[0]
    raise DataError(
        f"{table.name}: {'several columns are' if usual else 'no column is'} the target; the "
        f"columns are {', '.join(map(shown, table.columns))}",
        code="table.no_target",
        where=table.name,
        hint="data.target=COLUMN",
    )


def named(table: Table, column: str) -> list[str]:
    """The words of a column that names sets or tasks. Raises DataError for an empty cell."""
    words = table.words(column)
    for number, word in enumerate(words):
        if word is None:
            raise table.cell_error("is empty", number, column, "sets.no_name")
    return [word or "" for word in words]


def require_one_kind(path: Path, found: Sequence[FoundSet]) -> None:
    """Raises DataError for sets of tables beside sets of class folders, or two of one name."""
    tables = [one.name for one in found if one.pieces]
    folders = [one.name for one in found if one.folders]
    if tables and folders:
        raise DataError(
            f"{shown(path)} has sets of tables ({tables[0]}) and of class folders ({folders[0]})",
            code="sets.mixed_files",
            where=shown(path),
            hint="all sets are of one kind",
        )
    names = [(one.split, one.name) for one in found]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise DataError(f"two sets are called {twice[1]}", code="sets.same_name", where=shown(path))


def looks_like_sets(path: Path, set_column: str = "") -> bool:
    """Whether a path holds sets of tasks, by names alone: folders of tables or of tasks; or it is a
    table, and a column of sets is named. Pools of classes and folders of tasks are none."""
    try:
        if not path.is_dir():
            return is_table(path) and bool(set_column)
        folders = scan(path).folders
        if folders and set(folders) <= set(SPLITS):
            return any(looks_like_sets(path / one) for one in folders)
        return any(is_set_folder(path / one) for one in folders)
    except (DataError, OSError, ValueError):  # names that no file can have, too
        return False  # whoever opens it says why


def is_set_folder(path: Path) -> bool:
    """SETS/<set>: tables that are no halves of one task, or folders of class folders likewise."""
    halves = {*SUPPORT_NAMES, *QUERY_NAMES}
    entries = scan(path)
    tables = [name for name in entries.files if kind_of(name) == "table"]
    if tables:
        stems = {Path(name).stem.casefold() for name in tables}
        return not entries.folders and not stems & halves
    if set(entries.folders) & halves:
        return False
    return any(scan(path / one).folders for one in entries.folders)
