"""Landmine fields together, beside the simplest that one would do instead: `python
benchmarks/learning.py`, with the data fetched. Writes `results/tasks/landmine-coupled.json`: mean
AUC over 29 fields on ten stratified divisions, with the corrected resampled t interval (Nadeau and
Bengio) of each lead of the shipped recipe. Other benchmarks take from here what a recipe trains.
"""

from __future__ import annotations

import json
import platform
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

from metacli.data.multi_task.splits import TEST_SHARE
from metacli.engine.scoring.intervals import nadeau_bengio
from metacli.engine.scoring.multi_task_baselines import outside_predictions
from metacli.engine.scoring.multi_task_params import final_params, predictions
from metacli.engine.scoring.multi_task_scores import score
from metacli.engine.training.multi_task.build import build_multi_task
from metacli.engine.training.multi_task.compare import alone_candidate, together_candidate
from metacli.engine.training.multi_task.single_task import Candidate, train_best
from metacli.engine.training.signals import Control
from metacli.schema.load import load

RESULTS = Path(__file__).resolve().parent / "results" / "tasks"
CPU = torch.device("cpu")
QUIET = Control(lambda: None, lambda event: None)
DIVISIONS = 10


def arm_of(recipe: str, *overrides: str, single: bool = False) -> tuple[Candidate, Any]:
    """What a recipe trains, or its single-task baseline; and its rows."""
    built = build_multi_task(load(recipe, overrides))
    return (alone_candidate(built) if single else together_candidate(built)), built.rows


def learned(arm: Candidate, rows: Any) -> dict[str, torch.Tensor]:
    """The parameters that a run of the recipe ships."""
    made = train_best(arm, rows, arm.recipe.train.steps, CPU, QUIET, arm.name)
    assert made is not None
    return final_params(arm.problem, made[0], rows)


def landmine() -> dict[str, Any]:
    found: dict[str, list[float]] = {}
    for seed in range(DIVISIONS):
        over = f"data.split_seed={seed}"
        for name, single in (("landmine-coupled", False), ("single-task", True)):
            arm, rows = arm_of("landmine-coupled", over, single=single)
            told = predictions(arm.problem, learned(arm, rows), rows, "test")
            y = rows.numbers("test")[1]
            found.setdefault(name, []).append(score("auc", y, told).value)
        for name, told in outside_predictions(rows, ("train", "val"), "test", lambda _: None):
            found.setdefault(name, []).append(score("auc", y, told).value)
            if name == "pooled":
                break
        say(seed, {name: round(values[-1], 4) for name, values in found.items()})
    ours = np.array(found["landmine-coupled"])
    summary = {}
    for name, values in found.items():
        lead = nadeau_bengio(ours - np.array(values), TEST_SHARE / (1 - TEST_SHARE))
        summary[name] = {"mean": float(np.mean(values)), "lead": lead[0], "lead_ci95": lead[1:]}
    return {"metric": "mean auc", "divisions": DIVISIONS, "summary": summary, "scores": found}


def say(*what: Any) -> None:
    sys.stderr.write(" ".join(map(str, what)) + "\n")


def write(name: str, found: dict[str, Any], started: float) -> None:
    head = ["git", "rev-parse", "HEAD"]
    commit = subprocess.run(head, cwd=RESULTS.parent, capture_output=True, text=True, check=True)
    document = {
        "what": name,
        "commit": commit.stdout.strip(),
        "machine": platform.machine(),
        "threads": torch.get_num_threads(),
        "hours": (time.monotonic() - started) / 3600,
        **found,
    }
    RESULTS.mkdir(parents=True, exist_ok=True)
    (RESULTS / f"{name}.json").write_text(json.dumps(document, indent=1) + "\n")


def main() -> None:
    started = time.monotonic()
    write("landmine-coupled", landmine(), started)


if __name__ == "__main__":
    main()
