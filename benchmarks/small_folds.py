"""How often `adapt` says that a source helps or hurts where two models are equally good, and where
one is worse, by how often its few folds are dealt.

    python benchmarks/small_folds.py [--tasks 3000]

Nothing is trained: examples are normal about the means of their classes, seen with two noises of
the same size, and each model is the nearest mean in its own view. Of the worse model the means are
half as far from each other. Written to benchmarks/results/small_folds.json.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np

from metacli.engine.adapting.splits import Split, repeated_folds, stratified_folds
from metacli.engine.scoring.intervals import nadeau_bengio

RESULTS = Path(__file__).parent / "results" / "small_folds.json"
SHAPES = ((5, 2), (5, 3), (10, 3), (5, 4), (5, 5), (2, 8))  # classes, examples of each
SPREADS = (0.3, 0.6, 1.0)  # of the means of classes, in units of an example's
COLUMNS = 8
WORSE = 0.5


def hits(x: np.ndarray, y: np.ndarray, splits: list[Split]) -> list[np.ndarray]:
    """Of the nearest mean, for each split's held-out examples."""
    found = []
    for split in splits:
        known, labels = x[split.support], y[split.support]
        means = np.stack([known[labels == label].mean(0) for label in np.unique(y)])
        away = ((x[split.query][:, None] - means) ** 2).sum(-1)
        found.append((away.argmin(1) == y[split.query]).astype(float))
    return found


def verdicts(way: int, shot: int, spread: float, tasks: int, *, again: bool) -> dict[str, Any]:
    """Shares of the tasks in which the interval leaves 0 out, and its mean width."""
    rng = np.random.default_rng(0)
    y = np.repeat(np.arange(way), shot)
    k = len(stratified_folds(y, 0))
    said: dict[str, list[float]] = {"among_equals": [], "of_a_worse_one": [], "width": []}
    for task in range(tasks):
        splits = repeated_folds(y, task) if again else stratified_folds(y, task)
        means = spread * rng.normal(size=(way, COLUMNS))[y]
        shared = rng.normal(size=(len(y), COLUMNS))
        views = [(shared + rng.normal(size=shared.shape)) / np.sqrt(2) for _ in range(2)]
        ours = hits(means + views[0], y, splits)
        for name, far in (("among_equals", 1.0), ("of_a_worse_one", WORSE)):
            other = hits(far * means + views[1], y, splits)
            differences = [a.mean() - b.mean() for a, b in zip(ours, other, strict=True)]
            _, low, high = nadeau_bengio(np.array(differences), 1 / (k - 1))
            said[name].append(float(not low <= 0 <= high))
        said["width"].append(high - low)
    return {
        "way": way,
        "shot": shot,
        "spread": spread,
        "folds": k,
        "splits": len(splits),
        "tasks": tasks,
        **{name: round(float(np.mean(values)), 4) for name, values in said.items()},
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tasks", type=int, default=3000)
    tasks = parser.parse_args().tasks
    rows = [
        verdicts(way, shot, spread, tasks, again=again)
        for way, shot in SHAPES
        for spread in SPREADS
        for again in (False, True)
    ]
    RESULTS.write_text(json.dumps(rows, indent=2) + "\n")
    for row in rows:
        print(json.dumps(row))


if __name__ == "__main__":
    main()
