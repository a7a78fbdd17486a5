"""Every weighting and every gradient balancing beside equal weights: `python
benchmarks/balancing.py sarcos school`, with the data fetched. Writes
`results/tasks/balancing-<data>.json` after each of them, and goes on with one that was begun.

One hard-shared network, one budget and one learning rate for all; test scores on several divisions,
with the corrected resampled t interval (Nadeau and Bengio) of each difference to equal weights and
to the single-task networks. Then `balancing_table.py` writes the table of benchmarks/README.md.
"""

from __future__ import annotations

import json
import platform
import subprocess
import sys
import time
from typing import Any

import numpy as np
import torch
from balancing_table import write_table
from learning import RESULTS, arm_of, learned

from metacli.algorithms import ALGORITHMS, names
from metacli.data.multi_task.splits import TEST_SHARE
from metacli.engine.scoring.intervals import nadeau_bengio
from metacli.engine.scoring.multi_task_params import predictions
from metacli.engine.scoring.multi_task_scores import score

DIVISIONS = 10
DATA = {
    "sarcos": ("sarcos-hard", ("backbone.hidden=[64,64]", "train.steps=1000")),
    "school": (
        "school-soft",
        (
            "sharing.name=hard",
            "backbone.name=mlp",
            "backbone.hidden=[16]",
            "train.steps=100",
            "train.lr=0.01",
            "evaluate.every=10",
        ),
    ),
}
LEFT_OUT = ("fixed",)  # its weights are the user's


def methods() -> list[tuple[str, tuple[str, ...], bool]]:
    """(name, overrides, single) of everything that is compared."""
    found: list[tuple[str, tuple[str, ...], bool]] = [
        ("equal", (), False),
        ("single-task", (), True),
    ]
    for name in names("multitask"):
        kind = "surgery" if ".surgery." in ALGORITHMS[name].module else "weighting"
        if name not in ("equal", *LEFT_OUT):
            found.append((name, (f"{kind}.name={name}",), False))
    return found


def compared(data: str) -> None:
    """All methods on one division after the other: what is there at any time is a comparison."""
    recipe, base = DATA[data]
    scores, spent = begun(data)
    for seed in range(DIVISIONS):
        for name, overrides, single in methods():
            if len(scores.setdefault(name, [])) > seed:
                continue
            started = time.process_time()
            words = (*base, *overrides, f"data.split_seed={seed}")
            scores[name].append(test_score(recipe, words, single))
            spent[name] = spent.get(name, 0.0) + time.process_time() - started
            sys.stderr.write(f"{data} {seed} {name} {scores[name][-1]:.4f} {spent[name]:.0f} s\n")
            write(data, scores, spent)


def begun(data: str) -> tuple[dict[str, list[float]], dict[str, float]]:
    """Scores and processor seconds of each method, as far as they are there."""
    path = RESULTS / f"balancing-{data}.json"
    if not path.is_file():
        return {}, {}
    found = json.loads(path.read_text())
    if (found["recipe"], tuple(found["overrides"])) != DATA[data] or "seconds" not in found:
        return {}, {}
    return found["scores"], found["seconds"]


def test_score(recipe: str, overrides: tuple[str, ...], single: bool) -> float:
    arm, rows = arm_of(recipe, *overrides, single=single)
    told = predictions(arm.problem, learned(arm, rows), rows, "test")
    return score(rows.table.metric, rows.numbers("test")[1], told).value


def write(data: str, scores: dict[str, list[float]], spent: dict[str, float]) -> None:
    recipe, base = DATA[data]
    head = ["git", "rev-parse", "HEAD"]
    commit = subprocess.run(head, cwd=RESULTS.parent, capture_output=True, text=True, check=True)
    whole = min(len(scores.get(name, [])) for name, _, _ in methods())
    done = {name: values[:whole] for name, values in scores.items()} if whole else {}
    document = {
        "what": f"balancing on {data}",
        "metric": "nmse" if data == "sarcos" else "explained_variance",
        "recipe": recipe,
        "overrides": base,
        "divisions": whole,
        "left_out": LEFT_OUT,
        "commit": commit.stdout.strip(),
        "machine": platform.machine(),
        "threads": torch.get_num_threads(),
        "hours": sum(spent.values()) / 3600,
        "summary": {name: row(values, done) for name, values in done.items()},
        "scores": scores,
        "seconds": spent,
    }
    RESULTS.mkdir(parents=True, exist_ok=True)
    path = RESULTS / f"balancing-{data}.json"
    path.write_text(json.dumps(document, indent=1) + "\n")


def row(values: list[float], scores: dict[str, list[float]]) -> dict[str, Any]:
    found: dict[str, Any] = {"mean": float(np.mean(values))}
    for other in ("equal", "single-task"):
        if other in scores:
            share = TEST_SHARE / (1 - TEST_SHARE)
            delta, low, high = nadeau_bengio(np.array(values) - np.array(scores[other]), share)
            found[f"minus {other}"] = {"delta": delta, "ci95": [low, high]}
    return found


def main() -> None:
    torch.set_num_threads(1)
    for data in sys.argv[1:]:
        compared(data)
    write_table()


if __name__ == "__main__":
    main()
