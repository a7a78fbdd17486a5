"""The page that says what a script may rely on, read for the tests that hold the app to it."""

from __future__ import annotations

import re
from pathlib import Path

PAGE = Path(__file__).parents[1] / "docs" / "reference" / "contract.md"


def section(title: str) -> str:
    """The text of a section."""
    _, _, rest = PAGE.read_text(encoding="utf-8").partition(f"\n## {title}\n")
    assert rest, f"{PAGE.name} has no section {title}"
    return rest.partition("\n## ")[0]


def rows(title: str) -> dict[str, str]:
    """The table of a section: command, and what stands behind it."""
    pattern = r"^\| `([a-z-]+)[^|`]*(?:\\\|[^|`]*)*` \|(.*)\|$"
    return dict(re.findall(pattern, section(title), re.MULTILINE))


def options() -> dict[str, set[str]]:
    """Of each command the options in its row."""
    found: dict[str, set[str]] = {}
    above: set[str] = set()
    for name, rest in rows("Commands").items():
        same = rest.strip().startswith("same |")  # as the row above
        above = above if same else set(re.findall(r"--[a-z][a-z-]*", rest))
        found[name] = above
    return found


def result_keys(command: str) -> set[str]:
    """The keys of a command's `result`, those inside others left out."""
    keys = rows("Results")[command].strip().strip("`")
    while "{" in keys or "[" in keys:
        keys = re.sub(r"\{[^{}\[\]]*\}|\[[^{}\[\]]*\]", "", keys)
    return {key.strip() for key in keys.split(",") if key.strip()}
