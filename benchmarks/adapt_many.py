"""How many tasks a second one process adapts to, saving included: `python benchmarks/adapt_many.py`
writes results/adapt_many.json. Processor time and wall time, one thread.

Folders of photographs (flowers12: 5 classes drawn for each task, 5 images of each) whose features
of the pretrained image network are in the cache, and tables of 25 rows of 64 columns: each with
prototypes and with a logistic regression whose penalty is chosen, not scored, and scored by 3
folds. Beside it what one would write with scikit-learn: read a table (or a file of 1,280 features
of each image), scale, a logistic regression with its usual penalty or one of five that is chosen by
3 folds, dump with joblib; to score, `cross_val_score` by 3 folds. Starting up is not counted on
either side.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import statistics
import tempfile
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import polars as pl
import torch
from own_data import shared
from run import RESULTS, commit, machine
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, StratifiedKFold, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import metacli

FILE = RESULTS / "adapt_many.json"
WAY, SHOT, COLUMNS = 5, 5, 64
FOLDS = (0, 3)
CHOSEN = ", penalty chosen"
PEER, PENALTIES = "scikit-learn", (0.01, 0.1, 1.0, 10.0, 100.0)


def photographs(folder: Path, tasks: int) -> Path:
    """Class folders of images, drawn for each task."""
    draw = np.random.default_rng(0)
    with zipfile.ZipFile(shared("flowers12") / "flowers12.zip") as archive:
        names = sorted(one for one in archive.namelist() if one.endswith(".jpg"))
        by_label: dict[str, list[str]] = {}
        for name in names:
            by_label.setdefault(name.split("/")[1], []).append(name)
        for task in range(tasks):
            for label in draw.choice(sorted(by_label), WAY, replace=False):
                for name in draw.choice(by_label[label], SHOT, replace=False):
                    path = folder / f"t{task:04}" / label / Path(name).name
                    path.parent.mkdir(parents=True, exist_ok=True)
                    path.write_bytes(archive.read(name))
    return folder


def tables(folder: Path, tasks: int) -> Path:
    """Normal numbers around a centre of each class."""
    draw = np.random.default_rng(0)
    folder.mkdir()
    labels = np.repeat(np.arange(WAY), SHOT)
    for task in range(tasks):
        centres = 0.5 * draw.normal(size=(WAY, COLUMNS))
        rows = centres[labels] + draw.normal(size=(len(labels), COLUMNS))
        with (folder / f"t{task:04}.csv").open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            writer.writerow([*(f"e{number}" for number in range(COLUMNS)), "label"])
            for label, row in zip(labels, rows, strict=True):
                writer.writerow([*(f"{value:.5f}" for value in row), f"class{label}"])
    return folder


def features(folder: Path, tasks: int) -> Path:
    """A file of features for each task, which only scikit-learn's loop reads."""
    draw = np.random.default_rng(0)
    folder.mkdir()
    for task in range(tasks):
        np.save(folder / f"t{task:04}.npy", draw.normal(size=(WAY * SHOT, 1280)).astype("float32"))
    return folder


def ours(method: str, source: str, tasks: Path, out: Path, folds: int) -> None:
    given: dict[str, Any] = {"folds": folds, "compare": False, "device": "cpu"}
    metacli.adapt(source, tasks, out=out, method=method, **given)


def by_loop(tasks: Path, out: Path, folds: int, chosen: bool = False) -> None:
    """The same with scikit-learn."""
    out.mkdir()
    for path in sorted(tasks.iterdir()):
        if path.suffix == ".npy":
            x, labels = np.load(path), np.repeat(np.arange(WAY), SHOT)
        else:
            table = pl.read_csv(path)
            x, labels = table.drop("label").to_numpy(), table["label"].to_numpy()
        regression = LogisticRegression(max_iter=1000)
        if chosen:
            regression = GridSearchCV(regression, {"C": PENALTIES}, cv=3)
        model = make_pipeline(StandardScaler(), regression)
        if folds:
            cross_val_score(model, x, labels, cv=StratifiedKFold(folds))
        joblib.dump(model.fit(x, labels), out / f"{path.stem}.joblib")


Run = Callable[[Path, int], None]
"""(where to write, folds)"""


def runs(base: Path, tasks: int) -> dict[str, dict[str, Run]]:
    """What is timed, by what the tasks are of."""
    images, rows = photographs(base / "images", tasks), tables(base / "tables", tasks)
    numbers = features(base / "features", tasks)

    def mine(method: str, source: str, of: Path) -> Run:
        return lambda out, folds: ours(method, source, of, out, folds)

    return {
        "photographs": {
            "prototype": mine("prototype", "photos", images),
            "logistic": mine("logistic", "photos", images),
            PEER: lambda out, folds: by_loop(numbers, out, folds),
            PEER + CHOSEN: lambda out, folds: by_loop(numbers, out, folds, True),
        },
        "tables": {
            "prototype": mine("prototype", "columns", rows),
            "logistic": mine("logistic", "columns", rows),
            PEER: lambda out, folds: by_loop(rows, out, folds),
            PEER + CHOSEN: lambda out, folds: by_loop(rows, out, folds, True),
        },
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--tasks", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    torch.set_num_threads(1)
    rows = []
    with tempfile.TemporaryDirectory() as name:
        base = Path(name)
        os.chdir(base)
        for what, by in runs(base, given.tasks).items():
            for how, run in by.items():
                run(base / f"first {what} {how}", 0)  # imports, and features into the cache
                for folds in FOLDS[:1] if how.endswith(CHOSEN) else FOLDS:  # it takes minutes
                    rows.append(timed(what, how, run, folds, given.tasks, given.rounds))
                    print(rows[-1], flush=True)
    facts = {"commit": commit(), "machine": machine(), "threads": 1, "tasks": given.tasks}
    FILE.write_text(json.dumps({**facts, "rows": rows}, indent=1) + "\n")


def timed(what: str, how: str, run: Run, folds: int, tasks: int, rounds: int) -> dict[str, Any]:
    wall, processor = [], []
    for number in range(rounds):
        out = Path.cwd() / f"{what} {how} {folds} {number}"
        before = time.perf_counter(), time.process_time()
        run(out, folds)
        wall.append(time.perf_counter() - before[0])
        processor.append(time.process_time() - before[1])
    return {
        "what": what,
        "how": how,
        "folds": folds,
        "tasks_per_second": round(tasks / statistics.median(wall), 1),
        "tasks_per_processor_second": round(tasks / statistics.median(processor), 1),
    }


if __name__ == "__main__":
    main()
