"""What folders of images mean: a task, a split task, pools of classes, a set of tasks, inputs."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from itertools import combinations
from pathlib import Path

from metacli.data.files import Entries, scan, shown
from metacli.data.images import IMAGE_SUFFIXES, is_recording
from metacli.data.tables.choice import Choice
from metacli.data.user.listing import (
    Listing,
    Row,
    Survey,
    beside,
    kind_of,
    list_class_folders,
    not_a_task,
    refused,
    split_problems,
)
from metacli.data.user.problems import as_finding, nothing_usable
from metacli.data.user.table_layouts import one_type, without
from metacli.errors import DataError, Finding, UsageProblem

SUPPORT_NAMES = ("support", "train")
QUERY_NAMES = ("query", "test", "val", "valid", "validation")
POOL_NAMES = {"train": ("train",), "val": ("val", "valid", "validation"), "test": ("test",)}


def list_images(path: Path, entries: Entries | None, survey: Survey, choice: Choice) -> Listing:
    """Lists an image (`entries` is None) or a folder of images or folders; recordings are read as
    images.

    Raises:
        DataError: nothing usable in it.
        UsageProblem: columns were named.
    """
    return with_recordings(_listed(path, entries, survey, choice))


def with_recordings(listing: Listing) -> Listing:
    """With a remark where its files are recordings; images beside them are an error."""
    pools = [row for pool in listing.pools.values() for row in pool.support]
    rows = [*listing.support, *(listing.query or ()), *pools]
    heard = [row for row in rows if is_recording(row.path.name)]
    if not heard:
        return listing
    said = "recordings, read as log-mel spectrograms"
    seen = next((row for row in rows if row.path.suffix.lower() in IMAGE_SUFFIXES), None)
    findings = listing.findings
    if seen is not None and listing.what != "inputs":
        message = f"recordings and images in one task: {shown(heard[0].path)}, {shown(seen.path)}"
        hint = "one task holds one kind of file"
        findings += (Finding("error", "data.mixed_kinds", message, shown(listing.path), hint),)
    return replace(listing, guessed=(*listing.guessed, said), findings=findings)


def _listed(path: Path, entries: Entries | None, survey: Survey, choice: Choice) -> Listing:
    if entries is None:
        return Listing(path, "inputs", "images", support=(Row(path, None),))
    if not entries.folders:
        rows = tuple(Row(path / name, None) for name in entries.files)
        findings = tuple(refused(path, entries))
        return Listing(path, "inputs", "images", support=rows, findings=findings)
    holds = {name: _holds(path / name, choice) for name in entries.folders}
    # A class may well be called "train"; a support holds folders, a class holds images.
    halves = {name for name in (*SUPPORT_NAMES, *QUERY_NAMES) if holds.get(name) == "folders"}
    if halves:
        return _list_pools(path, entries, halves, choice) or _list_split(
            path, entries, halves, choice
        )
    counts = Counter(holds.values())
    if counts["folders"] + counts["table"] > counts["class"]:
        return _list_set(path, entries, survey, choice)
    require_no_columns(choice)
    classes = list_class_folders(path, entries, follow=choice.follow_links)
    found = (*classes.findings, *split_problems(path, classes, None))
    guessed = ("label = folder name",)
    return Listing(path, "task", "images", classes.rows, None, classes.labels, guessed, found)


def _holds(folder: Path, choice: Choice) -> str:
    """What a folder looks like from inside: class, folders, table, empty or unreadable."""
    try:
        entries = scan(folder, follow=choice.follow_links)
    except DataError:
        return "unreadable"
    kinds = {kind_of(name) for name in entries.files}
    if "images" in kinds:
        return "class"
    if entries.folders:
        return "folders"
    if "table" in kinds or "task.yaml" in entries.files:
        return "table"
    return "class" if entries.files or entries.links or entries.specials else "empty"


def _list_split(path: Path, entries: Entries, halves: set[str], choice: Choice) -> Listing:
    support_name = next((name for name in SUPPORT_NAMES if name in halves), None)
    if support_name is None:
        found = ", ".join(sorted(halves))
        raise nothing_usable(path, f"has {found} but neither support nor train")
    query_name = next((name for name in QUERY_NAMES if name in entries.folders), None)
    support = list_class_folders(path / support_name, follow=choice.follow_links)
    query = (
        list_class_folders(path / query_name, follow=choice.follow_links) if query_name else None
    )
    findings = (
        *refused(path, entries),
        *_unread(path, entries, {support_name, query_name or ""}),
        *support.findings,
        *(query.findings if query else ()),
        *split_problems(path, support, query),
    )
    guessed = [f"support = {support_name}", "label = folder name"]
    if query_name:
        guessed.insert(1, f"query = {query_name}")
    return Listing(
        path,
        "task",
        "images",
        support=support.rows,
        query=query.rows if query else None,
        labels=support.labels,
        guessed=tuple(guessed),
        findings=findings,
    )


def _list_pools(path: Path, entries: Entries, halves: set[str], choice: Choice) -> Listing | None:
    """Train, val and test, where two or more are there and no class is in two of them."""
    if halves & {"support", "query"}:
        return None
    pools: dict[str, Listing] = {}
    for pool, names in POOL_NAMES.items():
        name = next((name for name in names if name in halves), None)
        if name:
            inner = list_class_folders(path / name, follow=choice.follow_links)
            rows, labels, found = inner.rows, inner.labels, inner.findings
            pools[pool] = Listing(path / name, "task", "images", rows, None, labels, (), found)
    pairs = combinations([set(pool.labels) for pool in pools.values()], 2)
    if len(pools) < 2 or any(a & b for a, b in pairs):
        return None
    findings = [*refused(path, entries)]
    findings += _unread(path, entries, {pool.path.name for pool in pools.values()})
    findings += [finding for pool in pools.values() for finding in pool.findings]
    guessed = (f"pools of disjoint classes: {', '.join(pools)}",)
    return Listing(path, "pool", "images", guessed=guessed, findings=tuple(findings), pools=pools)


def _unread(path: Path, entries: Entries, used: set[str]) -> list[Finding]:
    found = beside(path, entries)
    for name in entries.folders:
        if name not in used:
            message = f"folder {shown(path / name)} was not read"
            found.append(Finding("warning", "data.not_read", message, shown(path / name)))
    return found


def _list_set(path: Path, entries: Entries, survey: Survey, choice: Choice) -> Listing:
    """A folder of tasks; a folder in it that is no task is a problem, found with all the others."""
    children, broken = list[Listing](), list[Path]()
    findings = [*refused(path, entries), *beside(path, entries)]
    for name in entries.folders:
        try:
            child = survey(path / name, choice)
        except DataError as error:
            findings.append(as_finding(error))
            broken.append(path / name)
            continue
        if child.what == "task":
            children.append(child)
            findings += child.findings
        else:
            findings.append(as_finding(not_a_task(child)))
            broken.append(path / name)
    if not children:
        raise nothing_usable(path, "has no task in its folders", findings)
    if any(child.content is not None for child in children):
        findings = [one for one in findings if one not in {f for c in children for f in c.findings}]
        return without(broken, one_type(path, children, findings, survey, choice))
    return Listing(
        path,
        "tasks",
        "images",
        guessed=(f"a set of {len(children)} tasks",),
        findings=tuple(findings),
        children=tuple(children),
        broken=tuple(broken),
    )


def require_no_columns(choice: Choice) -> None:
    """Raises UsageProblem: folders of images have no columns to name."""
    if choice.target is not None or choice.inputs is not None or choice.task is not None:
        raise UsageProblem("--target and --input name columns of a table; these are images")
    if choice.type == "regression":
        raise UsageProblem("folders of classes are classification")
