"""The tables of many tasks, from `results/tasks/*.json`: `python benchmarks/tasks_table.py`. README
has a row for each recipe; `benchmarks/README.md` every task where they are few, and other readings
of the same predictions."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import result_pages

from metacli.engine.scoring.checks import LOWER_IS_BETTER
from metacli.engine.training.multi_task.single_task import SINGLE
from metacli.schema.load import shipped

HERE = Path(__file__).resolve().parent
RESULTS = HERE / "results" / "tasks"
DETAILS = HERE / "README.md"
PAGE = result_pages.MULTI_TASK
BEGIN, END = "<!-- tasks: made by benchmarks/tasks.py -->", "<!-- end of tasks -->"
FIXED_TEST = ("adult-hard",)  # the test file of the set: splits divide the other rows alone
READINGS = {
    "explained_variance": "all pupils",
    "within_tasks": "within schools",
    "mean_task_r2": "mean R² of the schools",
    "small_tasks": "schools with fewer than 30 training pupils",
}

Document = dict[str, Any]


def documents() -> Iterator[tuple[Path, Document]]:
    """Results of recipes; other files there are of other benchmarks."""
    for path in sorted(RESULTS.glob("*.json")):
        document = json.loads(path.read_text())
        if document.get("recipe") in document.get("summary", ()):
            yield path, document


def table() -> str:
    """A row for each recipe, with its lead over what a user would do instead."""
    lines = [
        "| recipe | on test rows | together | separate, same network | best simple model |",
        "| --- | --- | --- | --- | --- |",
    ]
    for path, document in documents():
        metric, own = document["metric"], document["recipe"]
        rows = {name: row[metric] for name, row in document["summary"].items()}
        best = best_simple(document)
        link = f"[{own}]({result_pages.LINK}/tasks/{path.name})"
        alone = f"{number(rows[SINGLE]['mean'])} ({lead(rows[SINGLE])})"
        other = f"{best} {number(rows[best]['mean'])} ({lead(rows[best])})"
        what = f"{metric.replace('_', ' ')}, {splits(document)}"
        lines.append(f"| {link} | {what} | **{number(rows[own]['mean'])}** | {alone} | {other} |")
    return "\n".join(lines)


def best_simple(document: Document) -> str:
    """The simple model with the best mean."""
    recipes, metric = dict(shipped()), document["metric"]
    sign = -1 if metric in LOWER_IS_BETTER else 1
    names = [n for n in document["summary"] if n not in recipes and not n.startswith(SINGLE)]
    return max(names, key=lambda name: sign * document["summary"][name][metric]["mean"])


def splits(document: Document) -> str:
    if document["splits"] == 1:
        return "over tasks"
    fixed = ", test rows fixed" if document["recipe"] in FIXED_TEST else ""
    return f"{document['splits']} splits{fixed}"


def details() -> str:
    """Every model of every results file; every task where they are listed."""
    blocks = []
    for path, document in documents():
        blocks.append("\n".join(of_models(path, document)))
        if each := [key for key in document["divisions"][0][document["recipe"]] if "/" in key]:
            blocks.append("\n".join(of_tasks(document, each)))
    return "\n\n".join(blocks)


def of_models(path: Path, document: Document) -> Iterator[str]:
    """A row for each model and a column for each reading, with the recipe's lead."""
    own, metric = document["recipe"], document["metric"]
    readings = [key for key in document["summary"][own] if "/" not in key]
    yield (
        f"{own}: {metric.replace('_', ' ')} on test rows, {splits(document)}; in brackets the "
        f"lead of the recipe and its 95 % interval ([results](results/tasks/{path.name}))"
    )
    yield ""
    yield f"| model | {' | '.join(READINGS.get(key, key) for key in readings)} |"
    yield f"| --- |{' --- |' * len(readings)}"
    for name, row in document["summary"].items():
        cells = [
            number(row[key]["mean"]) + ("" if name == own else f" ({lead(row[key])})")
            for key in readings
        ]
        yield f"| {name} | {' | '.join(cells)} |"


def of_tasks(document: Document, each: list[str]) -> Iterator[str]:
    """A row for each task, with intervals where there are several splits."""
    own, best = document["recipe"], best_simple(document)
    yield f"| task of {own} | together | {SINGLE} | {best} |"
    yield "| --- | --- | --- | --- |"
    for key in each:
        cells = [of_task(document, name, key) for name in (own, SINGLE, best)]
        yield f"| {key.partition('/')[2]} | {' | '.join(cells)} |"


def of_task(document: Document, name: str, key: str) -> str:
    if document["splits"] == 1:
        return number(document["divisions"][0][name][key])
    row = document["summary"][name][key]
    return number(row["mean"]) + ("" if name == document["recipe"] else f" ({lead(row)})")


def number(value: float) -> str:
    return f"{value:.3f}"


def lead(row: dict[str, Any]) -> str:
    low, high = row["lead_ci95"]
    return f"{row['lead']:+.4f} [{low:+.4f}, {high:+.4f}]"


def write_tables() -> None:
    for path, made in ((PAGE, table()), (DETAILS, details())):
        result_pages.replace(path, BEGIN, END, made)


if __name__ == "__main__":
    write_tables()
