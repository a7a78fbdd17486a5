"""Problems in a user's files: which of them are left out, which are alike, and one error of all."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path, PurePath
from typing import Literal

from metacli.data.files import shown
from metacli.errors import DataError, Finding, first_names

SHOWN_PROBLEMS = 20

# Problems of single files or rows: `--skip-bad` leaves those out and counts them.
SKIPPABLE = frozenset({"data.link", "data.special_file"})
FEW_NAMES = 3
UNREADABLE = SKIPPABLE | {
    *("data.damaged_image", "data.not_an_image", "data.unsupported_format", "data.pixel_range"),
    *("data.image_too_large", "data.not_text", "data.empty_text", "table.no_label"),
    "table.empty_text",
}
LEFT_OUT = "--skip-bad goes on without them"


def as_finding(error: DataError, level: Literal["error", "warning"] = "error") -> Finding:
    return Finding(level, error.code, error.message, error.where, error.hint)


def downgrade(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """The findings with the problems of single files as warnings."""
    return tuple(
        replace(finding, level="warning") if finding.code in UNREADABLE else finding
        for finding in findings
    )


_GROUPS = {
    "data.empty_class": "empty class folders",
    "data.nested_folder": "folders inside class folders",
    "data.unknown_class": "classes of the query that are not in the support",
    "data.too_few_classes": "tasks with fewer than two classes",
    "data.link": "symbolic links",
    "data.special_file": "pipes, sockets or devices",
    "data.same_picture": "images or recordings in support and query, or under two labels",
    "data.same_text": "texts in support and query, or under two labels",
    "table.no_target": "tables without a target",
    "table.no_label": "tables with rows whose target is empty",
    "table.columns_differ": "tasks with other columns",
    "data.same_name": "class names that are the same",
    "data.mixed_kinds": "tasks of another kind",
}


def _group(code: str) -> str:
    usual = "tables that cannot be used" if code.startswith("table.") else "unreadable files"
    return _GROUPS.get(code, usual)


def raise_problems(path: Path, findings: Iterable[Finding]) -> None:
    """Raises one DataError for all errors among the findings, those of one fault as one; the first
    20 faults are attached."""
    every = [one for one in findings if one.level == "error"]
    if not every:
        return
    errors = alike_as_one(every, path)
    first = errors[0]
    if len(errors) == 1:
        hint = first.hint or leaves_out(errors)
        raise DataError(
            first.message, code=first.code, where=first.where, hint=hint, findings=errors
        )
    groups = Counter(_group(error.code) for error in every)
    counts = ", ".join(f"{count} {group}" for group, count in groups.items())
    listed = f" (the first {SHOWN_PROBLEMS} are listed)" if len(errors) > SHOWN_PROBLEMS else ""
    raise DataError(
        f"{len(every)} problems in {shown(path)}: {counts}{listed}",
        code=first.code if len(groups) == 1 else "data.problems",
        where=shown(path),
        hint=first.hint or leaves_out(errors),
        findings=errors[:SHOWN_PROBLEMS],
    )


def leaves_out(errors: Iterable[Finding]) -> str | None:
    """What to type to go on without files that cannot be read; None where something else is wrong,
    too."""
    return LEFT_OUT if all(one.code in UNREADABLE for one in errors) else None


def alike_as_one(findings: Iterable[Finding], folder: Path) -> list[Finding]:
    """Findings about tables that differ only in the file that they name as one, which names the
    files: what is wrong with twenty tables alike is read once, and put right by one command."""
    groups: dict[tuple[str, str, str, str | None], list[Finding]] = {}
    for one in findings:
        groups.setdefault((one.level, one.code, _fault(one), one.hint), []).append(one)
    found: list[Finding] = []
    for (_, _, fault, _), same in groups.items():
        names = list(dict.fromkeys(_file(one) for one in same))
        if len(names) == 1 or not same[0].code.startswith("table."):
            found += dict.fromkeys(same)
            continue
        whole = f"{len(names)} files alike, {first_names(names, FEW_NAMES)}: {fault}"
        found.append(replace(same[0], message=whole, where=shown(folder)))
    return found


def _file(finding: Finding) -> str:
    """The name of the file that a finding is about, without its row or column."""
    where = PurePath(finding.where or "").name
    return where.partition(", ")[0].partition(":")[0]


def _fault(finding: Finding) -> str:
    """The message without the file that it is about."""
    name = _file(finding)
    message = finding.message.removeprefix(f"{name}: ")
    return message.replace(f" of {name}", "").replace(name, "each")


def nothing_usable(path: Path, why: str, findings: Iterable[Finding] = ()) -> DataError:
    return DataError(
        f"{shown(path)} {why}",
        code="data.nothing_usable",
        where=shown(path),
        hint="a task is a folder with one folder of images per class, or a table with a column "
        "label",
        findings=findings,
    )
