"""Outer learning rates of the learners on sine waves, chosen on validation waves and reported on
waves that nothing was chosen on: `python benchmarks/sine_rates.py`; `--table` makes the page's
table alone. Writes results/sinusoid/rates.json after each training and goes on with one that was
begun; runs are kept in build/sine.

Written down before any of it ran:

- Every learner has the same grid: once, twice and four times the rate of the authors of MAML (1e-3
  of Adam, which theirs keeps and ours lowers to 0); of Reptile, whose outer step is one of plain
  descent, a quarter, a half and the whole way. Everything else is as in its recipe.
- Each rate is trained for 2,000 steps, with the recipe's schedule over these. Chosen is the one
  with the smallest mean squared error on the 1,000 validation waves after as many inner steps as
  the recipe's validation takes; one that is not finite is never chosen.
- With that rate the learner is trained anew for 10,000 steps, from seeds 0, 1 and 2, the first seed
  of all learners before the second of any, and measured on 2,000 test waves of seed 1. The numbers
  of recipes are of the waves of seed 0, on which a rate of MAML had once been chosen.
- `imaml` is not among them: one of its steps takes as long as forty of another learner's.

The budget is the same for all and shorter than that of the recipes, so these numbers compare the
learners; the recipes' own say how far each comes.
"""

from __future__ import annotations

import json
import math
import platform
import shutil
import sys
from pathlib import Path
from typing import Any

import numpy as np
import result_pages
import torch

from metacli.engine.evaluate import evaluate
from metacli.engine.meta_train import meta_train
from metacli.engine.scoring.intervals import over_seeds
from metacli.errors import RunFailed

FILE = Path(__file__).resolve().parent / "results" / "sinusoid" / "rates.json"
BUILD = Path(__file__).resolve().parent.parent / "build" / "sine"
PAGE = result_pages.FEW_SHOT
BEGIN, END = "<!-- sine rates: made by benchmarks/sine_rates.py -->", "<!-- end of sine rates -->"
ADAM = (1e-3, 2e-3, 4e-3)
GRID = {
    **dict.fromkeys(("maml", "meta_sgd", "maml_plus_plus", "cavia"), ADAM),
    **dict.fromkeys(("anil", "boil", "fomaml"), ADAM),
    "reptile": (0.25, 0.5, 1.0),
}
SEARCH, FINAL, SEEDS, WAVES, NEW = 2_000, 10_000, (0, 1, 2), 2_000, 1
EVERY, SHOWN = 2_000, (1, 5, 10)


def main() -> None:
    torch.set_num_threads(1)
    if sys.argv[1:] != ["--table"]:
        measure()
    result_pages.replace(PAGE, BEGIN, END, table())


def measure() -> None:
    document = begun()
    for learner, rates in GRID.items():
        for rate in rates:
            if not any(
                one["learner"] == learner and one["lr"] == rate for one in document["search"]
            ):
                document["search"].append(searched(learner, rate))
                write(document)
    for seed in SEEDS:
        for learner in GRID:
            done = [one for one in document["final"] if one["learner"] == learner]
            if not any(one["seed"] == seed for one in done):
                rate = chosen(document, learner)
                document["final"].append(reported(learner, rate, seed))
                write(document)


def begun() -> dict[str, Any]:
    if FILE.is_file():
        found: dict[str, Any] = json.loads(FILE.read_text())
        return found
    budget = {"search_steps": SEARCH, "final_steps": FINAL, "waves": WAVES, "waves_seed": NEW}
    grid = {learner: list(rates) for learner, rates in GRID.items()}
    machine = {"machine": platform.machine(), "threads": 1}
    return {"grid": grid, **budget, **machine, "search": [], "final": []}


def write(document: dict[str, Any]) -> None:
    FILE.write_text(json.dumps(document, indent=1) + "\n")


def words(learner: str, rate: float, steps: int, seed: int) -> list[str]:
    found = [f"train.lr={rate}", f"train.steps={steps}", f"evaluate.every={EVERY}"]
    if learner == "maml_plus_plus":  # as large a part of the training as in its recipe
        found.append(f"algorithm.multi_step_until={2 * steps // 3}")
    return [*found, "baselines=[]", f"seed={seed}"]


def searched(learner: str, rate: float) -> dict[str, Any]:
    """A rate of the grid, and its error on validation waves; None where training ended in numbers
    that are not finite."""
    try:
        run = trained(learner, rate, SEARCH, 0)
    except RunFailed as failed:
        say(f"{learner} {rate}: {failed.message}")
        return {"learner": learner, "lr": rate, "val_mse": None}
    lines = (run / "metrics.jsonl").read_text().splitlines()
    told = [one["val"] for one in map(json.loads, lines) if "val" in one][-1]
    error = float(told["mse"]["mean"])
    say(f"{learner} {rate}: {error:.4f} on validation waves")
    return {"learner": learner, "lr": rate, "val_mse": error if math.isfinite(error) else None}


def trained(learner: str, rate: float, steps: int, seed: int) -> Path:
    """A run, which goes on where it was stopped."""
    out = BUILD / f"{learner}-{rate:g}-{steps}-{seed}"
    if (out / "recipe.yaml").is_file():
        meta_train(resume=str(out))
    else:
        shutil.rmtree(out, ignore_errors=True)
        recipe = f"sinusoid-10shot-{learner}"
        meta_train(recipe, words(learner, rate, steps, seed), out=str(out))
    return out


def chosen(document: dict[str, Any], learner: str) -> float:
    """The rate with the smallest error on validation waves."""
    own = [one for one in document["search"] if one["learner"] == learner]
    finite = [one for one in own if one["val_mse"] is not None]
    return float(min(finite, key=lambda one: one["val_mse"])["lr"])


def reported(learner: str, rate: float, seed: int) -> dict[str, Any]:
    """The chosen rate on new waves, after each number of inner steps that the recipe takes; no
    steps where training ended in numbers that are not finite."""
    try:
        run = trained(learner, rate, FINAL, seed)
    except RunFailed as failed:
        say(f"{learner} {rate}, seed {seed}: {failed.message}")
        return {"learner": learner, "lr": rate, "seed": seed, "steps": []}
    result = evaluate(run, episodes=WAVES, seed=NEW)
    steps = [one for one in result["per_step"] if one["step"] in SHOWN]
    say(f"{learner} {rate}, seed {seed}: {[round(one['mean'], 4) for one in steps]}")
    return {"learner": learner, "lr": rate, "seed": seed, "steps": steps}


def table() -> str:
    """Markdown from the results file: every learner whose rates have been tried."""
    document = begun()
    shown = " | ".join(f"{k} steps" for k in SHOWN).replace("1 steps", "1 step")
    lines = [
        f"| learner | error on validation waves by rate | chosen | {shown} | seeds |",
        "| --- " * 7 + "|",
    ]
    for learner, rates in GRID.items():
        tried = [one for one in document["search"] if one["learner"] == learner]
        if len(tried) < len(rates):
            continue
        errors = ", ".join(f"{one['lr']:g}: {shown_error(one['val_mse'])}" for one in tried)
        own = [one for one in document["final"] if one["learner"] == learner]
        cells = [cell(own, step) for step in SHOWN]
        lost = sum(not one["steps"] for one in own)
        seeds = f"{len(own)}{f', {lost} of them not finite' if lost else ''}" if own else "none yet"
        first = f"| {learner.replace('_', '-')} | {errors} | {chosen(document, learner):g} | "
        lines.append(f"{first}{' | '.join(cells)} | {seeds} |")
    return "\n".join(lines)


def shown_error(value: float | None) -> str:
    return "not finite" if value is None else f"{value:.3f}"


def cell(runs: list[dict[str, Any]], step: int) -> str:
    """The mean over waves with its interval, or over seeds where there are several."""
    found = [one for run in runs for one in run["steps"] if one["step"] == step]
    if not found:
        return ""
    if len(found) == 1:
        return f"{found[0]['mean']:.3f} ± {found[0]['ci95']:.3f}"
    over = over_seeds(np.array([one["mean"] for one in found]))
    return f"{over.mean:.3f} ± {over.ci95:.3f}"


def say(line: str) -> None:
    sys.stderr.write(line + "\n")
    sys.stderr.flush()


if __name__ == "__main__":
    main()
