"""The page of results on sets of functions, made from `results/meta_multitask/*.json`: `python
benchmarks/meta_multitask_table.py`. A test fails when it is stale."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
RESULTS = HERE / "results" / "meta_multitask"
PAGE = HERE.parent / "docs" / "results" / "meta-multi-task.md"
HEAD = """# Sets of functions

Made by `python benchmarks/meta_multitask_table.py` from `benchmarks/results/meta_multitask`. The
protocol, `benchmarks/protocols/meta_multitask.md`, was written before a test set was read: 4,000
fixed sets (the guard: the first 1,000), query error with its 95 % interval over sets, one run each.
*Separate* is the same model, each task from its own labels alone; *ratio* is the mean error of
joint over that of separate.
"""


def main() -> None:
    PAGE.write_text(page())


def page() -> str:
    """The whole page."""
    runs = sorted(RESULTS.glob("*-*.json"))
    parts = [HEAD, *(section(json.loads(path.read_text())) for path in runs)]
    bounds = RESULTS / "bounds.json"
    if bounds.is_file():
        parts.append(bounds_of(json.loads(bounds.read_text())))
    return "\n".join(parts)


def section(document: dict[str, Any]) -> str:
    """The cells of one run."""
    minutes = document["seconds"] / 60
    lines = [
        f"## {document['run']}",
        "",
        f"Trained on *{document['variant']}*, {document['steps']:,} steps{history(document)}: "
        f"{minutes:.1f} minutes of one core in all.",
        "",
        "| sets | points | joint | separate | ratio | guard | joint - separate | in 90 % |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for cell in document["cells"]:
        arms, joint = cell["arms"], cell["differences"]["joint - separate"]
        low, high = joint["ci95"]
        lines.append(
            f"| {cell['variant']} | {cell['points']} | {mse(arms['joint'])} | "
            f"{mse(arms['separate'])} | {joint['ratio']:.3f} | {mse(arms['guard'])} | "
            f"{low:.4f} to {high:.4f} | {arms['joint']['coverage90']:.2f} |"
        )
    return "\n".join([*lines, ""])


def history(document: dict[str, Any]) -> str:
    """What the run began from, and whether it was stopped before its schedule ended."""
    begin = f" from the end of {document['begin']}" if document.get("begin") else ""
    planned = document.get("planned", document["steps"])
    return begin + (
        "" if planned == document["steps"] else f", stopped early ({planned:,} planned)"
    )


def bounds_of(document: dict[str, Any]) -> str:
    """What can be known without meta-learning."""
    lines = [
        "## Without meta-learning",
        "",
        f"On {document['rows'][0]['sets']} of the same sets of *{document['variant']}*: a Gaussian "
        "process per task; least squares that knows the activation; that also knows the sharing. A "
        "point fit is no lower bound.",
        "",
        "| points | Gaussian process | knows the family | knows family and sharing |",
        "| --- | --- | --- | --- |",
    ]
    for row in document["rows"]:
        cells = [row[name] for name in ("gp", "family", "family_and_sharing")]
        lines.append(f"| {row['points']} | {' | '.join(map(shown, cells))} |")
    return "\n".join([*lines, ""])


def mse(arm: dict[str, Any]) -> str:
    return shown(arm["mse"])


def shown(score: dict[str, Any]) -> str:
    return f"{score['mean']:.4f} ± {score['ci95']:.4f}"


if __name__ == "__main__":
    main()
