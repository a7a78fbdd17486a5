"""Why joint training of SARCOS loses to a network for each torque: steps and units.

    python benchmarks/sarcos_size.py            # measures what the file lacks, then the table
    python benchmarks/sarcos_size.py --table

The small network of benchmarks/balancing.py, with more steps, more units, and both; 180 units are
as many parameters as seven networks of 64 units have together. Five splits, the recipe's rates,
test blocks. Nothing is chosen. Writes results/tasks/sarcos-size.json.
"""

from __future__ import annotations

import json
import sys
import time
from typing import Any

import numpy as np
import result_pages
import tasks
import torch
from learning import RESULTS, arm_of, learned, write

from metacli.engine.scoring.intervals import nadeau_bengio
from metacli.engine.scoring.multi_task_params import predictions
from metacli.engine.scoring.multi_task_scores import score

BEGIN, END = "<!-- size: made by benchmarks/sarcos_size.py -->", "<!-- end of size -->"
SPLITS, SMALL = 5, 64
ARMS = [(units, steps) for steps in (1000, 3000) for units in (64, 128, 180, 256)]
FILE = RESULTS / "sarcos-size.json"


def main() -> None:
    torch.set_num_threads(1)
    if sys.argv[1:] != ["--table"]:
        measure()
    result_pages.replace(result_pages.MULTI_TASK, BEGIN, END, table())


def measure() -> None:
    found = json.loads(FILE.read_text())["nmse"] if FILE.is_file() else {}
    started = time.monotonic()
    for units, steps in ARMS:
        for name in ("together", *(["separate"] if units == SMALL else [])):
            key = f"{name} {units} {steps}"
            if key not in found:
                found[key] = [one(name, units, steps, seed) for seed in range(SPLITS)]
                write("sarcos-size", {"splits": SPLITS, "nmse": found}, started)


def one(name: str, units: int, steps: int, seed: int) -> float:
    over = (f"data.split_seed={seed}", f"backbone.hidden=[{units},{units}]", f"train.steps={steps}")
    arm, rows = arm_of("sarcos-hard", *over, single=name == "separate")
    told = predictions(arm.problem, learned(arm, rows), rows, "test")
    return float(score("nmse", rows.numbers("test")[1], told).value)


def table() -> str:
    """Markdown: the error of every arm, and its difference to separate networks."""
    found: dict[str, Any] = json.loads(FILE.read_text())["nmse"]
    steps = sorted({int(key.split()[2]) for key in found})
    lines = ["| | " + " | ".join(f"{one:,} steps" for one in steps) + " |"]
    lines.append("| --- " * (len(steps) + 1) + "|")
    for row in dict.fromkeys(key.rpartition(" ")[0] for key in found):
        name, units = row.split()
        words = {"together": "one trunk", "separate": "a network for each torque"}[name]
        cells = [cell(found.get(f"{row} {one}"), found[f"separate {SMALL} {one}"]) for one in steps]
        lines.append(f"| {words}, {units} units | {' | '.join(cells)} |")
    return "\n".join(lines)


def cell(values: list[float] | None, separate: list[float]) -> str:
    if values is None:
        return ""
    mean = f"{np.mean(values):.4f}"
    if values == separate:
        return mean
    share = tasks.Plan.share
    delta, low, high = nadeau_bengio(np.array(values) - np.array(separate), share)
    return f"{mean} ({delta:+.4f} [{low:+.4f}, {high:+.4f}])"


if __name__ == "__main__":
    main()
