"""What tables mean: a task, support and query, a set of tasks; and their rows as numbers."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from metacli.data.files import Entries, resolved, shown, way_out
from metacli.data.tables.choice import Choice, TaskType, names_in
from metacli.data.tables.columns import Roles, assign
from metacli.data.tables.reader import Table, read_table
from metacli.data.tables.targets import (
    labelled,
    labels_alike,
    many_classes,
    targets_of,
    type_of_target,
    with_text,
)
from metacli.data.user.listing import (
    ClassFolders,
    Listing,
    Row,
    Survey,
    TabularTask,
    kind_of,
    not_a_task,
    refused,
    split_problems,
)
from metacli.data.user.problems import as_finding, nothing_usable, raise_problems
from metacli.errors import DataError, Finding

SUPPORT_FILES = ("support", "train")
QUERY_FILES = ("query", "test", "val", "valid", "validation")


def list_tables(path: Path, entries: Entries | None, survey: Survey, choice: Choice) -> Listing:
    """Lists a table, support and query tables, or a folder of tables.

    Raises:
        DataError: a table that cannot be read, or that has no target.
    """
    if entries is None:
        return list_table(path, path, None, choice)
    names = [name for name in entries.files if kind_of(name) == "table"]
    support, query = (_first(names, which) for which in (SUPPORT_FILES, QUERY_FILES))
    if support is None and len(names) == 1:
        support = names[0]
    if support is not None:
        found = list_table(path, path / support, path / query if query else None, choice)
        used = {support, query}
        more = _unread(path, [name for name in entries.files if name not in used])
        return replace(found, findings=(*refused(path, entries), *more, *found.findings))
    return list_set(path, entries, survey, choice)


def _first(names: Sequence[str], stems: Sequence[str]) -> str | None:
    """The file of the first of these stems."""
    by_stem = {Path(name).stem.lower(): name for name in reversed(names)}
    return next((by_stem[stem] for stem in stems if stem in by_stem), None)


def _unread(path: Path, names: Sequence[str]) -> list[Finding]:
    return [
        Finding("warning", "data.beside", f"not read: {shown(name)}", shown(path / name))
        for name in names
        if kind_of(name) == "table"
    ]


def list_table(path: Path, support: Path, query: Path | None, choice: Choice) -> Listing:
    """One table, or two of the same columns, as a task; with a column of task names a set."""
    learned = read_table(support)
    if choice.task is not None:
        return split_by_task(path, learned, support, choice)
    if query is None and len(targets := several(learned, choice)) > 1:
        return split_by_target(path, learned, support, targets, choice)
    asked = None if query is None else read_table(query)
    return list_rows(path, learned, asked, support, choice)


def list_rows(
    path: Path, learned: Table, asked: Table | None, file: Path, choice: Choice
) -> Listing:
    """A listing of tables that were read.

    Args:
        file: of the support table; paths of images begin in its folder.
    """
    roles = assign(learned, choice, file.parent)
    assert roles.target is not None
    rows = len(learned) + (0 if asked is None else len(asked))
    learned, empty = labelled(learned, roles.target)
    if asked is not None:
        asked, more = labelled(asked, roles.target)
        empty = (*empty, *more)
    if roles.kind == "text":
        learned, more = with_text(learned, roles.inputs[0])
        empty = (*empty, *more)
        if asked is not None:
            asked, more = with_text(asked, roles.inputs[0])
            empty = (*empty, *more)
    cells = targets_of(learned, roles.target)
    later = [] if asked is None else targets_of(asked, roles.target)
    kind, why = type_of_target(roles.target, cells + later, choice, learned.name)
    guessed = (*learned.guessed, *roles.guessed, *([why] if why else []))
    if roles.kind == "images" and kind == "regression":
        raise DataError(
            f"{learned.name} has images and numbers to predict; images have classes here",
            code="table.pictures_regression",
            where=learned.name,
            hint="--type classification, if the numbers are names of classes",
        )
    classes = tuple(sorted(set(cells))) if kind == "classification" else ()
    support = _rows(learned, roles, cells, file, kind, choice)
    query = None if asked is None else _rows(asked, roles, later, file, kind, choice)
    findings = [*roles.findings, *empty]
    if roles.kind == "images" and not choice.follow_links:
        findings += [one for half in (learned, asked) if half for one in outside(half, roles, file)]
    if kind == "classification":
        labels = None if asked is None else tuple(sorted(set(later)))
        before = ClassFolders(support, classes, ())
        after = None if labels is None else ClassFolders(query or (), labels, ())
        findings += [_about_rows(one) for one in split_problems(path, before, after)]
        findings += many_classes(learned, roles.target, cells, choice)
        findings += labels_alike(learned, roles.target, [*cells, *later])
    left = len(learned) + (0 if asked is None else len(asked))
    content = TabularTask(learned, asked, roles, kind, choice.unit, rows - left)
    return Listing(
        path,
        "task",
        roles.kind,
        support=support,
        query=query,
        labels=classes,
        guessed=guessed,
        findings=tuple(findings),
        content=content,
    )


def _rows(
    table: Table,
    roles: Roles,
    cells: Sequence[str],
    file: Path,
    kind: TaskType,
    choice: Choice,
) -> tuple[Row, ...]:
    labels = cells if kind == "classification" else [None] * len(cells)
    if roles.kind == "images":
        paths = table.texts(roles.inputs[0])
        pairs = zip(paths, labels, strict=True)
        follow = choice.follow_links
        return tuple(Row(resolved(file.parent / one, follow=follow), label) for one, label in pairs)
    return tuple(Row(file, label, number) for number, label in enumerate(labels))


def outside(table: Table, roles: Roles, file: Path) -> list[Finding]:
    """Paths of images that lead out of the folder of their table."""
    column = roles.inputs[0]
    found = []
    for number, name in enumerate(table.texts(column)):
        if (out := way_out(file.parent, name)) is not None:
            message = f"row {table.number_of(number)}, column {shown(column)} of {table.name} {out}"
            where = f"{table.row(number)}, column {shown(column)}"
            hint = "put the image beside the table; --follow-links reads it where it is"
            found.append(Finding("error", "data.outside", message, where, hint))
    return found


def _about_rows(finding: Finding) -> Finding:
    """The words of a class folder's problem, for a column of labels."""
    if finding.code == "data.too_few_classes":
        return replace(finding, hint="the target column needs two different labels")
    return finding


def several(table: Table, choice: Choice) -> tuple[str, ...]:
    """The targets that are named, with commas between them unless one column is called so."""
    if choice.target is None or choice.target in table.columns:
        return ()
    return names_in(choice.target) or ()


def split_by_target(
    path: Path, table: Table, file: Path, targets: Sequence[str], choice: Choice
) -> Listing:
    """Each target as a task of the same rows; a row whose cell is empty is not the task's."""
    others = tuple(one for one in table.columns if one not in targets)
    children, findings = [], list[Finding]()
    for target in targets:
        cells = table.words(target)
        known = [number for number, cell in enumerate(cells) if cell is not None]
        name = f"{table.name}, target {shown(target)}"
        part = table if len(known) == len(cells) else replace(table.rows(known), name=name)
        if not known:
            raise table.column_error(target, "has no label at all", "table.no_label")
        if len(known) < len(cells):
            missing = len(cells) - len(known)
            message = f"{missing} of {len(cells)} rows have no {shown(target)}: the other targets'"
            findings.append(Finding("note", "table.missing_labels", message, table.name))
        own = replace(choice, target=target, inputs=choice.inputs or others)
        children.append(list_rows(path / target, part, None, file, own))
    guessed = (f"a set of {len(targets)} tasks of the same rows, by target",)
    found = [*findings, *dict.fromkeys(f for one in children for f in one.findings)]
    return _set(path, children, guessed, found)


def split_by_task(path: Path, table: Table, file: Path, choice: Choice) -> Listing:
    """The rows of each name in the task column as a task of their own."""
    assert choice.task is not None
    target = assign(table, choice, file.parent).target
    table, empty = labelled(table, target or "")
    names = targets_of(table, choice.task)
    own = replace(choice, task=None)
    inputs = own.inputs or tuple(one for one in table.columns if one != choice.task)
    groups: dict[str, list[int]] = defaultdict(list)
    for number, name in enumerate(names):
        groups[name].append(number)
    own = replace(own, target=target, inputs=tuple(one for one in inputs if one != target))
    decided, why = type_of_target(target or "", targets_of(table, target or ""), own, table.name)
    own = replace(own, type=decided)
    whole = assign(table, own, file.parent)
    children = []
    for name, rows in sorted(groups.items()):
        part = replace(table.rows(rows), name=f"{table.name} task {shown(name)}")
        child = list_rows(path / name, part, None, file, own)
        content = replace(child.tables, roles=replace(whole, target=target))
        # A column that is constant in one task may well tell the tasks apart.
        kept = [one for one in child.findings if one.code != "table.constant"]
        children.append(replace(child, content=content, findings=tuple(kept)))
    guessed = (f"a set of {len(children)} tasks, by column {shown(choice.task)}", why)
    return _set(path, children, guessed, [*whole.findings, *empty])


def list_set(path: Path, entries: Entries, survey: Survey, choice: Choice) -> Listing:
    """Each table of a folder as a task; one decision about the type for all of them."""
    children, broken = list[Listing](), list[Path]()
    findings = [*refused(path, entries)]
    for name in [name for name in entries.files if kind_of(name) == "table"]:
        try:
            child = survey(path / name, choice)
        except DataError as error:
            findings.append(as_finding(error))
            broken.append(path / name)
            continue
        if child.what == "task":
            children.append(child)
        else:
            findings.append(as_finding(not_a_task(child)))
            broken.append(path / name)
    if not children:
        raise_problems(path, findings)
        raise nothing_usable(path, "has no table that is a task")
    return without(broken, one_type(path, children, findings, survey, choice))


def without(broken: Sequence[Path], found: Listing) -> Listing:
    """A set of tasks that also knows those that are not in it."""
    return replace(found, broken=(*broken, *found.broken))


def one_type(
    path: Path,
    children: Sequence[Listing],
    findings: list[Finding],
    survey: Survey,
    choice: Choice,
) -> Listing:
    """A set of tasks in tables: classification or regression is decided once, over all rows. Tasks
    of another kind than the first table's are problems."""
    first = next(one for one in children if one.content is not None)
    alike = [one.content is not None and one.kind == first.kind for one in children]
    findings += [other_kind(o, first) for o, same in zip(children, alike, strict=True) if not same]
    others = [one.path for one, same in zip(children, alike, strict=True) if not same]
    children = [one for one, same in zip(children, alike, strict=True) if same]
    guessed = [f"a set of {len(children)} tasks"]
    if choice.type is None:
        target = children[0].tables.target
        cells = [
            cell
            for one in children
            for half in (one.tables.support, one.tables.query)
            if half is not None and target in half.columns
            for cell in half.words(target)
        ]
        decided, why = type_of_target(target, cells, choice)
        guessed.append(why)
        same = [one.tables.type == decided for one in children]
        if not all(same):
            chosen = replace(choice, type=decided)
            children = [survey(one.path, chosen) for one in children]
    found = [*findings, *(finding for one in children for finding in one.findings)]
    return without(others, _set(path, list(children), tuple(guessed), found))


HOLDS = {"images": "images", "text": "texts", "table": "a table of columns"}


def other_kind(task: Listing, first: Listing) -> Finding:
    mine, theirs = HOLDS[task.kind], HOLDS[first.kind]
    message = f"{shown(task.path.name)} holds {mine}, and {shown(first.path.name)} {theirs}: "
    message += "the tasks of a set are of one kind"
    hint = "move one kind into a folder of its own"
    return Finding("error", "data.mixed_kinds", message, shown(task.path), hint)


def _set(
    path: Path, children: list[Listing], guessed: tuple[str, ...], findings: list[Finding]
) -> Listing:
    findings += differing(children)
    return Listing(
        path,
        "tasks",
        children[0].kind,
        guessed=guessed,
        findings=tuple(findings),
        children=tuple(children),
    )


def differing(children: Sequence[Listing]) -> list[Finding]:
    """Tasks whose columns are not those of the first."""
    tables = [one for one in children if one.content is not None and one.kind == "table"]
    if not tables:
        return []
    wanted = set(tables[0].tables.support.columns)
    found = []
    for one in tables[1:]:
        have = set(one.tables.support.columns)
        if have != wanted:
            words = [f"lacks {shown(name)}" for name in sorted(wanted - have)[:5]]
            words += [f"has {shown(name)} besides" for name in sorted(have - wanted)[:5]]
            first, name = shown(tables[0].path.name), shown(one.path.name)
            message = f"{name} has other columns than {first}: {', '.join(words)}"
            hint = "tasks that are learned together have the same columns"
            found.append(Finding("error", "table.columns_differ", message, name, hint))
    return found
