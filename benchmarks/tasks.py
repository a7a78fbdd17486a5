"""School over ten divisions of its pupils: `python benchmarks/tasks.py`, with the data fetched.

Writes `results/tasks/school.json`: the explained variance on test pupils of the shipped recipe, of
its single-task model and of the simple models, for each division, and the corrected resampled t
interval (Nadeau and Bengio) of each difference. Penalties are chosen inside the training rows.
"""

from __future__ import annotations

import json
import platform
import subprocess
import tempfile
import time
from pathlib import Path

import numpy as np
import torch

from metacli.data.task_parts import TEST_SHARE
from metacli.engine import bundle
from metacli.engine.intervals import nadeau_bengio
from metacli.engine.multitask import multitask
from metacli.engine.task_baselines import outside_predictions
from metacli.engine.task_build import make_rows
from metacli.engine.task_params import predictions
from metacli.engine.task_scores import mean_r2, score, within
from metacli.engine.task_single import SINGLE

ROOT = Path(__file__).resolve().parent
SPLITS = 10
SMALL = 30  # training pupils below which a school is small


def division(seed: int, folder: Path) -> dict[str, dict[str, float]]:
    """Scores of every model on the test pupils of one division."""
    run = folder / str(seed)
    multitask("school-soft", [f"data.split_seed={seed}"], out=str(run))
    model = bundle.load(run / "model")
    single = bundle.load(run / "baselines" / SINGLE)
    rows = make_rows(model.recipe)
    y = rows.numbers("test")[1]
    small = [len(one) < SMALL for one in rows.numbers("train", "val")[1]]
    found = {
        "school-soft": predictions(model.problem(), model.params, rows, "test"),
        SINGLE: predictions(single.problem(), single.params, rows, "test"),
    }
    found |= dict(outside_predictions(rows, ("train", "val"), "test", lambda name: None))
    return {name: scores(y, predicted, small) for name, predicted in found.items()}


def scores(y: list, predicted: list, small: list[bool]) -> dict[str, float]:
    few = [(a, b) for a, b, keep in zip(y, predicted, small, strict=True) if keep]
    ours, theirs = [a for a, _ in few], [b for _, b in few]
    return {
        "explained_variance": score("explained_variance", y, predicted).value,
        "within_schools": within(y, predicted),
        "mean_school_r2": mean_r2(y, predicted),
        "small_schools": score("explained_variance", ours, theirs).value,
    }


def summary(found: list[dict[str, dict[str, float]]]) -> dict[str, dict[str, object]]:
    """Means, and the recipe's lead over each other model with its interval."""
    share = TEST_SHARE / (1 - TEST_SHARE)
    rows: dict[str, dict[str, object]] = {}
    for name in found[0]:
        rows[name] = {}
        for metric in found[0][name]:
            values = np.array([one[name][metric] for one in found])
            ours = np.array([one["school-soft"][metric] for one in found])
            delta, low, high = nadeau_bengio(ours - values, share)
            rows[name][metric] = {"mean": values.mean(), "lead": delta, "lead_ci95": [low, high]}
    return rows


def main() -> None:
    started = time.monotonic()
    head = ["git", "rev-parse", "HEAD"]
    commit = subprocess.run(head, cwd=ROOT, capture_output=True, text=True, check=True)
    with tempfile.TemporaryDirectory() as folder:
        found = [division(seed, Path(folder)) for seed in range(SPLITS)]
    document = {
        "recipe": "school-soft",
        "splits": SPLITS,
        "commit": commit.stdout.strip(),
        "machine": platform.machine(),
        "threads": torch.get_num_threads(),
        "hours": (time.monotonic() - started) / 3600,
        "summary": summary(found),
        "divisions": found,
    }
    target = ROOT / "results" / "tasks" / "school.json"
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(json.dumps(document, indent=1) + "\n")
    for name, row in document["summary"].items():
        print(name, json.dumps(row))


if __name__ == "__main__":
    main()
