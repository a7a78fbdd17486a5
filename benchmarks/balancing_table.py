"""The table that `benchmarks/balancing.py` makes of its results: `python
benchmarks/balancing_table.py` writes it into benchmarks/README.md; an algorithm's page has its row.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import result_pages

from metacli.engine.scoring.checks import LOWER_IS_BETTER

HERE = Path(__file__).resolve().parent
PAGE, RESULTS = HERE / "README.md", HERE / "results" / "tasks"
BEGIN, END = "<!-- balancing: made by benchmarks/balancing.py -->", "<!-- end of balancing -->"
DATA = ("sarcos", "school")
OTHERS = ("equal", "single-task")


def measured() -> Iterator[tuple[str, dict[str, Any], bool]]:
    """(data, its results, whether less is better) of what was run."""
    for data in DATA:
        path = RESULTS / f"balancing-{data}.json"
        if path.is_file():
            found = json.loads(path.read_text())
            yield data, found, found["metric"] in LOWER_IS_BETTER


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
        lines += ["", f"Not run: {', '.join(found['left_out'])}, whose weights are the user's.", ""]
    return "\n".join(lines).rstrip()


def page_table(name: str) -> str:
    """The rows of one method for its page; nothing where it was not run."""
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
