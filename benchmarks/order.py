"""Do the 90 % intervals hold for the rows that come next?

    METACLI_MIRROR=FOLDER python benchmarks/order.py [SERIES]

Writes benchmarks/results/order.json. Protocol, fixed before any coverage was looked at: a table of
250 rows in the order of time; `adapt columns TABLE --method linear-probe` (and `boosted-trees`) on
the first 200 of them, once with random folds and once with `--order rows`; the share of the last
50 rows that lie within the intervals that `predict` gives. Generated series have the columns t, the
value before (lag), and a covariate x that explains part of y; 10 seeds of each kind:

* trend: y = 0.05 t + x + noise; walk: y a random walk plus x; shift: the level jumps by five
  standard deviations of the noise at one row between 60 and 190.

SARCOS: 10 stretches of 250 rows that follow each other in the training file of the robot arm, from
evenly spaced starts; 21 columns, the torque of the first joint. The aim is 85 % with `--order`;
what falls short is reported as it is.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch

import metacli
from metacli.data.sources import load_multi_task
from metacli.engine.adapt import adapt
from metacli.engine.fetch import fetch
from metacli.engine.predict import predict
from metacli.engine.storage.paths import cache_root

FILE = Path(__file__).resolve().parent / "results" / "order.json"
ROWS, LAST, SEEDS, LEVEL = 250, 50, 10, 0.9
METHODS = ("linear-probe", "boosted-trees")
KINDS = ("trend", "walk", "shift", "sarcos")


def series(kind: str, seed: int) -> dict[str, np.ndarray]:
    """Columns by name; y is the target."""
    rng = np.random.Generator(np.random.PCG64([seed, KINDS.index(kind)]))
    t, x = np.arange(ROWS + 1.0), rng.standard_normal(ROWS + 1)
    noise = rng.standard_normal(ROWS + 1)
    if kind == "trend":
        y = 0.05 * t + x + noise
    elif kind == "walk":
        y = np.cumsum(rng.standard_normal(ROWS + 1)) + x
    else:
        y = x + noise + 5.0 * (t >= rng.integers(60, 190))
    return {"t": t[1:], "lag": y[:-1], "x": x[1:], "y": y[1:]}


def stretches() -> Iterator[dict[str, np.ndarray]]:
    """Rows of SARCOS that follow each other."""
    fetch("sarcos")
    data, _ = load_multi_task("sarcos", {}, cache_root())
    x, y = np.asarray(data.x[0], float), np.asarray(data.y[0], float)
    for start in np.linspace(0, len(x) - ROWS, SEEDS).astype(int):
        part = slice(start, start + ROWS)
        yield {**{f"x{n:02}": x[part, n] for n in range(x.shape[1])}, "y": y[part]}


def written(path: Path, columns: dict[str, np.ndarray], part: slice) -> Path:
    names = list(columns)
    rows = zip(*(columns[name][part] for name in names), strict=True)
    lines = [",".join(names), *(",".join(f"{one:.9g}" for one in row) for row in rows)]
    path.write_text("\n".join(lines) + "\n")
    return path


def coverage(columns: dict[str, np.ndarray], method: str, order: str | None) -> dict[str, float]:
    """Of the last rows, and how wide the intervals are in standard deviations of y."""
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        known = written(folder / "known.csv", columns, slice(0, ROWS - LAST))
        asked = dict(list(columns.items())[:-1])
        new = written(folder / "new.csv", asked, slice(ROWS - LAST, ROWS))
        options = {"compare": False, "target": "y", "type": "regression", "device": "cpu"}
        adapt("columns", known, method=method, order=order, out=folder / "m", **options)
        rows = predict(folder / "m", new, device="cpu")["rows"]
    low, high = (np.array([row[end] for row in rows]) for end in ("low", "high"))
    truth = columns["y"][ROWS - LAST :]
    inside = float(((low <= truth) & (truth <= high)).mean())
    return {"coverage": inside, "width_sd": float((high - low).mean() / columns["y"].std())}


def main(wanted: list[str]) -> None:
    torch.set_num_threads(1)
    os.environ.setdefault("METACLI_CACHE", tempfile.mkdtemp())
    found = json.loads(FILE.read_text()) if FILE.is_file() else {}
    found |= {
        "made_by": "python benchmarks/order.py",
        "metacli": metacli.__version__,
        "level": LEVEL,
        "rows": ROWS,
        "last": LAST,
    }
    for kind in wanted or KINDS:
        tables = list(stretches()) if kind == "sarcos" else [series(kind, s) for s in range(SEEDS)]
        for method in METHODS:
            for order in (None, "rows"):
                each = [coverage(one, method, order) for one in tables]
                values = [one["coverage"] for one in each]
                found.setdefault(kind, {}).setdefault(method, {})[order or "random folds"] = {
                    "coverage": round(float(np.mean(values)), 4),
                    "lowest": round(min(values), 4),
                    "each": [round(one, 3) for one in values],
                    "width_sd": round(float(np.mean([one["width_sd"] for one in each])), 3),
                }
                print(kind, method, order, round(float(np.mean(values)), 3), flush=True)
                FILE.write_text(json.dumps(found, indent=1, sort_keys=True) + "\n")


if __name__ == "__main__":
    main(sys.argv[1:])
