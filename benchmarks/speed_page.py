"""The parts of docs/results/speed.md that are not of `speed.py` and `growth.py`:
`python benchmarks/speed_page.py`."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import result_pages
from run import RESULTS

Made = Callable[[dict[str, Any]], str]
WORDS = {"loop-over-tasks": "a loop over tasks", "torchjd": "TorchJD", "metacli": "metacli"}


def of_time(found: dict[str, Any]) -> str:
    """Minutes and accuracies of each plan, and the curves."""
    lines = [
        "| recipe, steps | who | minutes | seconds: validation accuracy, % | test, % |",
        "| --- | --- | --- | --- | --- |",
    ]
    for plan in found["plans"].values():
        steps = next(
            one.removeprefix("train.steps=") for one in plan["overrides"] if "steps" in one
        )
        for who in ("metacli", "plain torch"):
            row = plan.get(who)
            if row is None:
                continue
            curve = "; ".join(
                f"{p['seconds']:.0f}: {100 * p['accuracy']:.1f}" for p in row["curve"]
            )
            test = f"{100 * row['test']['mean']:.2f} ± {100 * row['test']['ci95']:.2f}"
            cells = [f"{plan['recipe']}, {int(steps):,}", who, f"{row['seconds'] / 60:.1f}"]
            lines.append("| " + " | ".join([*cells, curve, test]) + " |")
    return "\n".join(lines)


def of_many(found: dict[str, Any]) -> str:
    """Tasks a second, without folds and with three."""
    lines = [
        "| tasks of 25 rows | how | a second, not scored | scored by 3 folds |",
        "| --- | --- | --- | --- |",
    ]
    rows = {(row["what"], row["how"], row["folds"]): row for row in found["rows"]}
    for what, how in dict.fromkeys((a, b) for a, b, _ in rows):
        found_by = [rows.get((what, how, folds)) for folds in (0, 3)]
        rates = ["-" if row is None else f"{row['tasks_per_second']:.0f}" for row in found_by]
        lines.append(f"| {what} | {how} | {' | '.join(rates)} |")
    return "\n".join(lines)


def of_tasks(found: dict[str, Any]) -> str:
    """Seconds of each peer, and how many times ours they are."""
    lines = [
        "| what | shape | metacli, ms | others, ms | memory, MB |",
        "| --- | --- | --- | --- | --- |",
    ]
    groups: dict[str, list[dict[str, Any]]] = {}
    for row in found["rows"]:
        groups.setdefault(json.dumps([row["what"], row["shape"]]), []).append(row)
    for rows in groups.values():
        ours = next(row for row in rows if row["implementation"] == "metacli")
        others = [row for row in rows if row is not ours]
        shape = ", ".join(f"{value} {key}" for key, value in shape_of(ours["shape"]).items())
        told = "; ".join(
            f"{WORDS.get(row['implementation'], row['implementation'])} "
            f"{1000 * row['seconds']:.2f} ({row['seconds'] / ours['seconds']:.1f} x)"
            for row in others
        )
        memory = "; ".join(f"{row['peak_mb']:.0f}" for row in (ours, *others))
        what = "aligned gradients" if ours["shape"].get("surgery") else ours["what"]
        lines.append(f"| {what} | {shape} | {1000 * ours['seconds']:.2f} | {told} | {memory} |")
    return "\n".join(lines)


def shape_of(shape: dict[str, Any]) -> dict[str, int]:
    return {key: value for key, value in shape.items() if key != "surgery"}


def of_ranks(found: dict[str, Any]) -> str:
    rows = found["rounds"]
    lines = [
        "| | two processes, tasks/s | two ranks, tasks/s | kept |",
        "| --- | --- | --- | --- |",
    ]
    for number, row in enumerate(rows, 1):
        alone, shared = row["independent_tasks_per_second"], row["ranks_tasks_per_second"]
        lines.append(f"| round {number} | {alone:.0f} | {shared:.0f} | {row['ratio']:.0%} |")
    lines.append(f"| median | | | {found['ratio']:.0%} |")
    return "\n".join(lines)


PARTS: dict[str, Made] = {
    "time_to_accuracy": of_time,
    "adapt_many": of_many,
    "speed_tasks": of_tasks,
    "ranks": of_ranks,
}


def main() -> None:
    for name, made in PARTS.items():
        path = RESULTS / f"{name}.json"
        if path.exists():
            begin, end = (
                f"<!-- {name}: made by benchmarks/speed_page.py -->",
                f"<!-- end of {name} -->",
            )
            result_pages.replace(result_pages.SPEED, begin, end, made(json.loads(path.read_text())))


if __name__ == "__main__":
    main()
