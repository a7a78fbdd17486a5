"""How often `adapt` finds a difference by log loss, and by accuracy, where two models are equally
good and where one is worse.

    python benchmarks/log_loss_null.py

Nothing is trained. The models are those of small_folds.py: nearest means of normal examples, seen
with two noises of the same size, and a worse one whose means are half as far apart; here with their
probabilities. Folds are dealt as `adapt` deals them, and verdicts are its own (`held_out.compare`).
Written to benchmarks/results/log_loss_null.json after each row, from which a run that was stopped
goes on, and into the table of docs/explanation/intervals.md.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import result_pages
from small_folds import COLUMNS, SPREADS, WORSE

from metacli.engine.adapting.held_out import HeldOut, compare
from metacli.engine.adapting.splits import Split, repeated_folds, times_and_rows

RESULTS = Path(__file__).parent / "results" / "log_loss_null.json"
SHAPES = ((5, 3), (10, 3), (5, 5), (2, 8))  # classes, examples of each
TASKS = 500
SAID, MEASURES = ("helped", "hurt"), ("accuracy", "log_loss")
PAGE = result_pages.ROOT / "docs" / "explanation" / "intervals.md"
BEGIN, END = "<!-- log loss: made by benchmarks/log_loss_null.py -->", "<!-- end of log loss -->"


def answered(x: np.ndarray, y: np.ndarray, splits: list[Split]) -> HeldOut:
    """Probabilities by the distance to the mean of each class."""
    found = []
    for split in splits:
        known, labels = x[split.support], y[split.support]
        means = np.stack([known[labels == label].mean(0) for label in range(int(y.max()) + 1)])
        z = x[split.query] @ means.T - (means**2).sum(1) / 2
        p = np.exp(z - z.max(1, keepdims=True))
        found.append(p / p.sum(1, keepdims=True))
    rows = np.concatenate([split.query for split in splits])
    sizes = tuple(len(split.query) for split in splits)
    return HeldOut(np.concatenate(found), y[rows], sizes, None, *times_and_rows(splits))


def shares(way: int, shot: int, spread: float) -> dict[str, Any]:
    """Of the tasks in which a difference is found."""
    rng, y = np.random.default_rng(1), np.repeat(np.arange(way), shot)
    said: dict[str, list[bool]] = {}
    for task in range(TASKS):
        splits = repeated_folds(y, task)
        means = spread * rng.normal(size=(way, COLUMNS))[y]
        shared = rng.normal(size=(len(y), COLUMNS))
        views = [(shared + rng.normal(size=shared.shape)) / np.sqrt(2) for _ in range(2)]
        ours = answered(means + views[0], y, splits)
        for name, far in (("among_equals", 1.0), ("of_a_worse_one", WORSE)):
            found = compare(ours, answered(far * means + views[1], y, splits), "", "kfold")
            assert found.by_log_loss is not None
            for by, one in zip(MEASURES, (found.found, found.by_log_loss), strict=True):
                said.setdefault(f"{name}_by_{by}", []).append(one.verdict in SAID)
    each = {name: round(float(np.mean(values)), 4) for name, values in said.items()}
    sizes = {"way": way, "shot": shot, "spread": spread, "splits": len(splits)}
    return {**sizes, "tasks": TASKS, **each}


def main() -> None:
    rows = json.loads(RESULTS.read_text()) if RESULTS.is_file() else []
    done = {(row["way"], row["shot"], row["spread"]) for row in rows}
    for way, shot in SHAPES:
        for spread in SPREADS:
            if (way, shot, spread) not in done:
                rows.append(shares(way, shot, spread))
                RESULTS.write_text(json.dumps(rows, indent=1) + "\n")
                print(json.dumps(rows[-1]), flush=True)
    result_pages.replace(PAGE, BEGIN, END, table(rows))


def table(rows: list[dict[str, Any]]) -> str:
    """A line for each shape: the smallest and the largest share over the spreads."""
    lines = [
        "| classes, examples each | equals, by accuracy | by log loss "
        "| a worse one, by accuracy | by log loss |",
        "| --- | --- | --- | --- | --- |",
    ]
    names = [f"{who}_by_{by}" for who in ("among_equals", "of_a_worse_one") for by in MEASURES]
    for way, shot in SHAPES:
        own = [row for row in rows if (row["way"], row["shot"]) == (way, shot)]
        ends = [(min(row[name] for row in own), max(row[name] for row in own)) for name in names]
        cells = [f"{100 * low:.1f} to {100 * high:.1f} %" for low, high in ends]
        lines.append(f"| {way}, {shot} | {' | '.join(cells)} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
