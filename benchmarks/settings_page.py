"""How the settings behind every results file were chosen: `python benchmarks/settings_page.py`
writes the table of docs/results/settings.md from benchmarks/settings.json, which a new results file
needs a line in. A test holds both."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import result_pages

HERE = Path(__file__).resolve().parent
RESULTS, FILE = HERE / "results", HERE / "settings.json"
PAGE = result_pages.PAGES / "settings.md"
BEGIN = "<!-- settings: made by benchmarks/settings_page.py -->"
END = "<!-- end of settings -->"
WAYS = {
    "nothing": "there is nothing to choose",
    "authors": "as the authors of the method have it",
    "inner folds": "in every run on folds of the rows it learns from",
    "validation": "on validation data, from a grid that was committed before test data were read",
    "not recorded": "by hand; what else was tried is not recorded",
    "on reported data": "with the reported data in view, so the number is too good",
}


def entries() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(FILE.read_text(encoding="utf-8"))
    return found


def files_of(entry: dict[str, Any]) -> list[str]:
    """The results files that an entry speaks of, relative to their folder."""
    return sorted(
        str(path.relative_to(RESULTS)) for name in entry["results"] for path in RESULTS.glob(name)
    )


def table() -> str:
    """Markdown: from the way that leaves least to doubt to the one that leaves most."""
    lines = ["| results | settings were chosen | how |", "| --- | --- | --- |"]
    for way, meaning in WAYS.items():
        for entry in [one for one in entries() if one["chosen"] == way]:
            names = ", ".join(f"`{name.removesuffix('.json')}`" for name in entry["results"])
            lines.append(f"| {names} | {meaning} | {entry['how']} |")
    return "\n".join(lines)


if __name__ == "__main__":
    result_pages.replace(PAGE, BEGIN, END, table())
