"""The table that `benchmarks/balancing.py` makes of its results: `python
benchmarks/balancing_table.py` writes it into benchmarks/README.md; an algorithm's page has its row.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import result_pages
from scenes import REDUCED
from scenes_table import Measured, spelled
from scenes_table import measured as of_scenes

from metacli.algorithms import canonical, names
from metacli.engine.scoring.checks import LOWER_IS_BETTER

HERE = Path(__file__).resolve().parent
PAGE, RESULTS = HERE / "README.md", HERE / "results" / "tasks"
BEGIN, END = "<!-- balancing: made by benchmarks/balancing.py -->", "<!-- end of balancing -->"
DATA = ("sarcos", "school")
OTHERS = ("equal", "single-task")
COMPARED = (  # from a page of an algorithm
    "All methods beside each other, and what was trained: "
    "[which balancing method when](../explanation/which-balancing.md)."
)


def measured() -> Iterator[tuple[str, dict[str, Any], bool]]:
    """(data, its results, whether less is better) of what was run, methods by today's names."""
    for data in DATA:
        path = RESULTS / f"balancing-{data}.json"
        if path.is_file():
            found = json.loads(path.read_text())
            for key in ("summary", "seconds"):
                found[key] = {canonical(name): value for name, value in found[key].items()}
            yield data, found, found["metric"] in LOWER_IS_BETTER


def not_run(found: dict[str, Any]) -> list[str]:
    """Methods that the results do not have."""
    return [name for name in names("multitask") if name not in found["summary"]]


def table() -> str:
    """Markdown, the best first."""
    lines = []
    for data, found, lower in measured():
        word = "lower" if lower else "higher"
        lines += [
            f"{data}: {found['metric']} on test ({word} is better), {found['divisions']} splits "
            f"([results](results/tasks/balancing-{data}.json))",
            "",
            "| method | mean | minus equal weights | minus single-task |",
            "| --- | --- | --- | --- |",
        ]
        rows = found["summary"].items()
        for name, one in sorted(rows, key=lambda item: (1 if lower else -1) * item[1]["mean"]):
            lines.append("| " + " | ".join([name, *cells(one)]) + " |")
        later = [name for name in not_run(found) if name not in found["left_out"]]
        users = f"{', '.join(found['left_out'])}, whose weights are the user's"
        lines += ["", f"Not run: {'; and '.join(filter(None, (', '.join(later), users)))}.", ""]
    return "\n".join(lines).rstrip()


def page_table(name: str) -> str:
    """The rows of one method for its page, and where all are compared; nothing where it was not
    run."""
    tables = [found for found in (of_rows(name), of_worlds(name)) if found]
    return "\n\n".join([*tables, COMPARED]) if tables else ""


def of_rows(name: str) -> str:
    """One method on the tables."""
    rows = [
        f"| {data} | {found['metric']}, {'lower' if lower else 'higher'} is better | "
        + " | ".join(cells(found["summary"][name]))
        + " |"
        for data, found, lower in measured()
        if name in found["summary"]
    ]
    head = [
        "| data | metric | mean | minus equal weights | minus single-task |",
        "| --- | --- | --- | --- | --- |",
    ]
    return "\n".join([*head, *rows]) if rows else ""


@cache
def worlds() -> dict[float, list[Measured]]:
    """Every arm of the scenes, by conflict."""
    return {conflict: of_scenes(REDUCED, conflict) for conflict in sorted(REDUCED.conflicts)}


def of_worlds(name: str) -> str:
    """One method on the scenes, where more is better."""
    rows = [
        f"| conflict {conflict:g} | {len(one.worlds)} | {spelled(one.change)} | "
        f"{spelled(one.against_equal)} |"
        for conflict, found in worlds().items()
        for one in found
        if one.arm == name
    ]
    head = [
        "| scenes | worlds | mean relative change against single-task, higher is better | "
        "minus equal weights |",
        "| --- | --- | --- | --- |",
    ]
    return "\n".join([*head, *rows]) if rows else ""


def cells(one: dict[str, Any]) -> list[str]:
    return [f"{one['mean']:.4f}", *(difference(one.get(f"minus {other}")) for other in OTHERS)]


def difference(found: dict[str, Any] | None) -> str:
    if found is None or found["delta"] == 0:
        return ""
    low, high = found["ci95"]
    return f"{found['delta']:+.4f} [{low:+.4f}, {high:+.4f}]"


def write_table() -> None:
    result_pages.replace(PAGE, BEGIN, END, table())


if __name__ == "__main__":
    write_table()
