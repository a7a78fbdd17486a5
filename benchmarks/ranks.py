"""How much of two processes' throughput a training divided over two ranks keeps: `python
benchmarks/ranks.py` writes results/ranks.json. Wall time, so on a machine that does nothing else.

The same recipe for a number of steps and for three times as many, whose difference is free of
starting up: as two processes of one thread at the same time that know nothing of each other, and as
two ranks of one thread. Tasks a second of both processes together; the aim is 90 %.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from run import RESULTS, commit, machine

FILE = RESULTS / "ranks.json"
RECIPE = """version: 1
kind: meta
data: {source: glyphs}
episodes: {way: 5, shot: 1, query: 5}
backbone: {name: conv4, width: 64, norm: batch, downsample: stride}
algorithm: {name: maml, inner_steps: 1, inner_lr: 0.4}
train: {steps: 1, meta_batch: 32, lr: 1e-3}
evaluate: {every: 1000000, episodes: 2}
"""
TASKS, RANKS = 32, 2


def seconds_of(folder: Path) -> float:
    """Of training, as the run has recorded them."""
    return float(json.loads((folder / "run.json").read_text())["seconds"])


def command(recipe: Path, steps: int, out: Path, launcher: list[str]) -> list[str]:
    words = ["meta-train", str(recipe), f"train.steps={steps}", "-o", str(out), "-q"]
    return [sys.executable, *launcher, "-m", "metacli", *words, "--device", "cpu"]


def apart(recipe: Path, steps: int, folder: Path) -> float:
    """Seconds of two runs at the same time, their mean."""
    outs = [folder / f"apart-{steps}-{one}" for one in range(RANKS)]
    runs = [subprocess.Popen(command(recipe, steps, out, []), env=environment()) for out in outs]
    if any(run.wait() for run in runs):
        raise SystemExit("a run failed: see above")
    return statistics.mean(map(seconds_of, outs))


def together(recipe: Path, steps: int, folder: Path) -> float:
    """Seconds of one run on two ranks."""
    out = folder / f"ranks-{steps}"
    launcher = ["-m", "torch.distributed.run", "--nproc-per-node", str(RANKS)]
    subprocess.run(command(recipe, steps, out, launcher), env=environment(), check=True)
    return seconds_of(out)


def environment() -> dict[str, str]:
    return {**os.environ, "OMP_NUM_THREADS": "1"}


def measured(steps: int) -> dict[str, Any]:
    """Tasks a second of both, and their ratio."""
    with tempfile.TemporaryDirectory(prefix="metacli-ranks-") as name:
        folder = Path(name)
        recipe = folder / "recipe.yaml"
        recipe.write_text(RECIPE)
        alone = apart(recipe, 3 * steps, folder) - apart(recipe, steps, folder)
        divided = together(recipe, 3 * steps, folder) - together(recipe, steps, folder)
    independent, shared = (2 * steps * TASKS * n / s for n, s in ((RANKS, alone), (1, divided)))
    return {
        "independent_tasks_per_second": round(independent, 2),
        "ranks_tasks_per_second": round(shared, 2),
        "ratio": round(shared / independent, 3),
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=30)
    given = parser.parse_args()
    rows = [measured(given.steps) for _ in range(given.rounds)]
    median = statistics.median(row["ratio"] for row in rows)
    facts = {"commit": commit(), "machine": machine(), "steps": given.steps, "ratio": median}
    FILE.write_text(json.dumps({**facts, "rounds": rows}, indent=1) + "\n")
    print(f"two ranks keep {median:.0%} of two processes' throughput")


if __name__ == "__main__":
    main()
