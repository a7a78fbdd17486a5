"""A set of functions as the tables that a user could have made of it: `set.csv` with a column for
each task, in which half of the labels are missing, and `later.csv`, other rows with all labels."""

from __future__ import annotations

import numpy as np

from metacli.data.sets.functions import MOST, MOST_QUERIES, Functions
from metacli.engine.sampling.rows import Drawn, csv_bytes
from metacli.errors import UsageProblem
from metacli.types import Batch

SETS = "functions"
SET, LATER = "set.csv", "later.csv"


def draw_set(shot: int, query: int, split: str, seed: int) -> Drawn:
    """A set whose tasks share their parameters; no training or validation set is the same.

    Raises:
        UsageProblem: more rows than the generator has.
    """
    if shot > MOST or query > MOST_QUERIES:
        raise UsageProblem(
            f"a set of functions has up to {MOST} rows and {MOST_QUERIES} later ones; found {shot} "
            f"and {query}",
            hint="--shot 20 --query 50",
        )
    source = Functions(points=shot, query=query, seed=("sample", split, seed))
    found = source.meta_batch_at(0)
    names = source.names
    files = {SET: table_of(found.support, names), LATER: table_of(found.query, names)}
    return Drawn(files, names, source.digest, None, shot, query)


def table_of(half: Batch, names: tuple[str, ...]) -> bytes:
    """Rows of x and a label for each task, empty where it is missing."""
    known = np.ones(half.y.shape[1:], bool) if half.mask is None else half.mask[0].numpy()
    rows = [
        [
            f"{float(half.x[0, 0, m, 0]):.4f}",
            *(f"{float(half.y[0, t, m]):.4f}" if known[t, m] else "" for t in range(len(names))),
        ]
        for m in range(half.y.shape[2])
    ]
    return csv_bytes(["x", *names], rows)
