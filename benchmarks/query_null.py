"""What a verdict on a query folder is about: one adaptation to one support.

    python benchmarks/query_null.py [--tasks 1000]

Two models that are equally good when supports are drawn again and again: nearest means, each in its
own view of the examples, as in `small_folds.py`. A task has one support and one query; the verdict
is that of `adapt`, a paired t interval over the query's examples.

* `over_supports`: the share of tasks in which the interval leaves out 0, the mean difference over
  supports. A support of one example a class makes one of the two models better by chance.
* `of_this_support`: the share in which it leaves out the difference that these two adapted models
  have on `MANY` further examples: what the sentence *for these examples alone* claims. These have a
  chance error of their own: an interval that is right leaves out their difference in 5.0 % of the
  tasks of 5 classes (a query of 100) and in 5.2 % of those of 20 (400).
* `on_folds`: the share that leaves out 0 when the support is dealt into folds in place of a query
  and both models are adapted again in each, as `adapt` without a query does.

Nothing is trained. Writes results/query_null.json.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np

from metacli.engine.adapting.splits import repeated_folds
from metacli.engine.scoring.intervals import FEW, nadeau_bengio, paired

RESULTS = Path(__file__).parent / "results" / "query_null.json"
SHAPES = ((5, 1), (5, 2), (5, 5), (5, 10), (20, 1), (20, 5))  # classes, examples of each in support
QUERY = 20  # examples of each class
SPREADS = (0.6, 1.0)  # of the means of classes, in units of an example's
COLUMNS, MANY = 8, 20_000


def views(rng: np.random.Generator, means: np.ndarray) -> list[np.ndarray]:
    """Examples about their means [M, D], seen with two noises of the same size."""
    shared = rng.normal(size=means.shape)
    return [means + (shared + rng.normal(size=means.shape)) / np.sqrt(2) for _ in range(2)]


def hits(support: np.ndarray, y: np.ndarray, query: np.ndarray, asked: np.ndarray) -> np.ndarray:
    """1 where the nearest mean of a class of the support is the example's own."""
    means = np.stack([support[y == label].mean(0) for label in range(int(y.max()) + 1)])
    away = (means**2).sum(1) - 2 * query @ means.T  # the query's own square is the same for all
    return (away.argmin(1) == asked).astype(float)


def folds_miss(seen: list[np.ndarray], y: np.ndarray, seed: int) -> bool | None:
    """Whether an interval over folds of the support leaves out 0; None where `adapt` gives no
    verdict."""
    splits = repeated_folds(y, seed)
    times = sum(len(one.query) for one in splits) // len(y)
    if not splits or len(splits) // times < 3 or len(y) < FEW:
        return None
    differences = []
    for split in splits:
        s, q = split.support, split.query
        first, second = (hits(one[s], y[s], one[q], y[q]) for one in seen)
        differences.append(first.mean() - second.mean())
    _, low, high = nadeau_bengio(np.array(differences), 1 / (len(splits) // times - 1))
    return not low <= 0 <= high


def shares(way: int, shot: int, spread: float, tasks: int) -> dict[str, Any]:
    rng = np.random.default_rng(0)
    y, asked = np.repeat(np.arange(way), shot), np.repeat(np.arange(way), QUERY)
    further = rng.integers(way, size=MANY)
    over, this, on_folds = [], [], []
    for task in range(tasks):
        means = spread * rng.normal(size=(way, COLUMNS))
        support, query, more = (views(rng, means[one]) for one in (y, asked, further))
        first, second = (hits(a, y, b, asked) for a, b in zip(support, query, strict=True))
        _, low, high = paired(first - second)
        one, two = (hits(a, y, b, further) for a, b in zip(support, more, strict=True))
        over.append(not low <= 0 <= high)
        this.append(not low <= float((one - two).mean()) <= high)
        on_folds.append(folds_miss(support, y, task))
    known = [one for one in on_folds if one is not None]
    return {
        "way": way,
        "shot": shot,
        "spread": spread,
        "tasks": tasks,
        "over_supports": round(float(np.mean(over)), 4),
        "of_this_support": round(float(np.mean(this)), 4),
        "on_folds": round(float(np.mean(known)), 4) if known else None,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tasks", type=int, default=1000)
    tasks = parser.parse_args().tasks
    rows = [shares(way, shot, spread, tasks) for way, shot in SHAPES for spread in SPREADS]
    document = {"query_each": QUERY, "further": MANY, "rows": rows}
    RESULTS.write_text(json.dumps(document, indent=1) + "\n")
    for row in rows:
        print(json.dumps(row))


if __name__ == "__main__":
    main()
