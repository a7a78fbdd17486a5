"""Folders of class folders: which images belong to which class, with nothing opened."""

from __future__ import annotations

import stat
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from metacli.data.files import (
    Entries,
    link_refused,
    mode_of,
    read_regular,
    resolved,
    scan,
    shown,
    special_refused,
)
from metacli.data.images import FILE_SUFFIXES
from metacli.data.tables.choice import Choice, TaskType
from metacli.data.tables.columns import Roles
from metacli.data.tables.formats import READERS
from metacli.data.tables.lines import looks_like_table
from metacli.data.tables.reader import Table
from metacli.data.user.problems import as_finding
from metacli.errors import DataError, Finding, first_names

# What a file's name promises.
SUFFIXES: dict[str, frozenset[str]] = {
    "images": FILE_SUFFIXES,
    "table": frozenset(f".{ending}" for ending in READERS),
    "text": frozenset((".txt", ".text", ".md")),
}


def kind_of(name: str) -> str | None:
    """The kind of content that a file's name promises: a key of SUFFIXES, or None."""
    _, dot, ending = name.rpartition(".")
    suffix = dot + ending.lower()
    return next((kind for kind, suffixes in SUFFIXES.items() if suffix in suffixes), None)


def is_table(path: Path) -> bool:
    """Whether a path is a table: by the ending of its name, or by its first rows where the ending
    says nothing, as `.txt` and `.dat` do."""
    kind = kind_of(path.name)
    if kind in ("table", "images") or not stat.S_ISREG(mode_of(path)):
        return kind == "table"
    try:
        return looks_like_table(read_regular(path))
    except DataError:
        return False  # whoever opens it says why


def holds_rows(path: Path) -> bool:
    """Whether a path is a table, or a folder with one: a look at names alone."""
    if is_table(path):
        return True
    return path.is_dir() and any(kind_of(name) == "table" for name in scan(path).files)


@dataclass(frozen=True, slots=True)
class Row:
    """One example that was found: its file, its class (None: not known), and in a table its row."""

    path: Path
    label: str | None
    number: int | None = None


@dataclass(frozen=True, eq=False)
class TabularTask:
    """The tables of one task, and what their columns are for.

    Args:
        unlabelled: rows of both whose target or text is empty; they are left out here.
    """

    support: Table
    query: Table | None
    roles: Roles
    type: TaskType
    unit: str | None = None
    unlabelled: int = 0

    @property
    def target(self) -> str:
        assert self.roles.target is not None  # a task has one
        return self.roles.target


@dataclass(frozen=True)
class Listing:
    """What a path holds, before anything is decoded.

    Args:
        what: `task` (support and perhaps a query), `tasks` (`children`), `pool` (`pools`: train,
            val and test of disjoint classes), or `inputs` (unlabelled images in `support`).
        labels: class names, sorted.
        guessed: what was decided by looking, in words.
        findings: every problem and remark; errors only where `survey_task` was asked.
        content: the `TabularTask` of a task whose rows are in tables.
        broken: what lies beside the children and could not be listed as a task.
    """

    path: Path
    what: str
    kind: str
    support: tuple[Row, ...] = ()
    query: tuple[Row, ...] | None = None
    labels: tuple[str, ...] = ()
    guessed: tuple[str, ...] = ()
    findings: tuple[Finding, ...] = ()
    children: tuple[Listing, ...] = ()
    pools: dict[str, Listing] = field(default_factory=dict)
    content: TabularTask | None = None
    broken: tuple[Path, ...] = ()

    @property
    def tables(self) -> TabularTask:
        """The tables of a task whose rows are in tables."""
        assert self.content is not None
        return self.content


class Survey(Protocol):
    """Lists what lies inside a folder, for a lister of folders: `open.survey_task`."""

    def __call__(self, path: Path, choice: Choice, only: Entries | None = None) -> Listing: ...


@dataclass(frozen=True)
class ClassFolders:
    """The class folders of one folder: its rows class by class, its class names, its findings."""

    rows: tuple[Row, ...]
    labels: tuple[str, ...]
    findings: tuple[Finding, ...]


def list_class_folders(
    folder: Path, entries: Entries | None = None, *, follow: bool = False
) -> ClassFolders:
    """Reads folder/<class>/<image>; a warning names files next to the class folders, which are
    not read.

    Raises:
        DataError: the folder may not be listed.
    """
    entries = scan(folder, follow=follow) if entries is None else entries
    rows: list[Row] = []
    findings = [*refused(folder, entries), *beside(folder, entries)]
    ignored = entries.ignored
    for name in entries.folders:
        try:
            inside = scan(folder / name, follow=follow)
        except DataError as error:
            findings.append(as_finding(error))
            continue
        label = shown(name)
        files = [resolved(folder / name / file, follow=follow) for file in inside.files]
        rows += [Row(file, label) for file in files]
        findings += [*refused(folder / name, inside), *_class_problems(folder / name, inside)]
        ignored += inside.ignored
    if ignored:
        findings.append(
            Finding(
                "note", "data.hidden", f"{ignored} hidden or system files not read", shown(folder)
            )
        )
    findings += _name_problems(folder, entries.folders)
    labels = tuple(sorted({shown(name) for name in entries.folders}))
    return ClassFolders(tuple(rows), labels, tuple(findings))


def refused(folder: Path, entries: Entries) -> list[Finding]:
    """Links, pipes and devices in a folder: errors, since nothing is skipped silently."""
    links = [as_finding(link_refused(folder / name)) for name in entries.links]
    return links + [as_finding(special_refused(folder / name)) for name in entries.specials]


def beside(folder: Path, entries: Entries) -> list[Finding]:
    """Files that lie beside class folders."""
    if not entries.files:
        return []
    names = first_names([shown(name) for name in entries.files], 3)
    message = f"not read, because beside the folders of {shown(folder)}: {names}"
    return [Finding("warning", "data.beside", message, shown(folder))]


def _class_problems(folder: Path, inside: Entries) -> Iterable[Finding]:
    name = shown(folder)
    if not inside.files and not inside.folders:
        message = f"class folder {name} has no images"
        hint = "add images, or remove the folder"
        yield Finding("error", "data.empty_class", message, name, hint)
    for nested in inside.folders:
        where = shown(folder / nested)
        yield Finding(
            "error",
            "data.nested_folder",
            f"{where} is a folder inside a class folder",
            where,
            "put its images into the class folder, or make it a class of its own",
        )


def _name_problems(folder: Path, names: Sequence[str]) -> Iterable[Finding]:
    alike: dict[str, list[str]] = defaultdict(list)
    for name in names:
        alike[unicodedata.normalize("NFKC", shown(name)).casefold()].append(name)
    for group in alike.values():
        if len(group) > 1:
            words = ", ".join(ascii(shown(name)) for name in group)
            message = f"class names that look the same are different classes: {words}"
            yield Finding("warning", "data.similar_names", message, shown(folder))
    for label, count in Counter(shown(name) for name in names).items():
        if count > 1:
            message = f"{count} class folders would both be called {label}"
            yield Finding("error", "data.same_name", message, shown(folder), "rename one of them")


def split_problems(path: Path, support: ClassFolders, query: ClassFolders | None) -> list[Finding]:
    """What is wrong between the classes of a task: fewer than two, or unknown ones in the query."""
    found: list[Finding] = []
    if len(support.labels) < 2:
        classes = f"only one class, {support.labels[0]}" if support.labels else "no class folder"
        message = f"{shown(path)} has {classes}; at least two are needed"
        hint = "one folder of images per class"
        found.append(Finding("error", "data.too_few_classes", message, shown(path), hint))
    known = {label.casefold(): label for label in support.labels}
    for label in query.labels if query else ():
        if label not in support.labels:
            message = f"class {label} of the query is not in the support"
            near = known.get(label.casefold())
            named = first_names(support.labels, 8)
            hint = f"is it {near}?" if near else f"classes of the support: {named}"
            found.append(Finding("error", "data.unknown_class", message, shown(path), hint))
    for label in support.labels if query else ():
        if query and label not in query.labels:
            message = f"class {label} has no example in the query"
            found.append(Finding("warning", "data.class_not_in_query", message, shown(path)))
    return found


def not_a_task(listing: Listing) -> DataError:
    words = {
        "tasks": (f"a set of {len(listing.children)} tasks", "name one of its folders"),
        "pool": ("pools of classes, to train or evaluate on", "name a folder of class folders"),
        "inputs": (f"{listing.kind} without classes", "make one folder per class"),
    }
    name = shown(listing.path)
    what, hint = words[listing.what]
    message = f"{name} holds {what}, not one task"
    return DataError(message, code="data.not_a_task", where=name, hint=hint)
