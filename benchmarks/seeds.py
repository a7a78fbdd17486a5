"""Two more seeds of every few-shot recipe whose training takes at most twenty minutes, as
protocols/seeds.md says:

    python benchmarks/seeds.py              # what results/seeds.json lacks, then the table
    python benchmarks/seeds.py RECIPE...    # of these
    python benchmarks/seeds.py --table      # the table alone

Seed 0 is the recipe's own results file. Of sine waves benchmarks/sine_rates.py has three seeds.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
import result_pages
import result_tables
import run
import torch

from metacli.engine.evaluate import evaluate
from metacli.engine.scoring import episode_evaluate
from metacli.engine.scoring.intervals import over_seeds

FILE = run.RESULTS / "seeds.json"
BEGIN, END = "<!-- seeds: made by benchmarks/seeds.py -->", "<!-- end of seeds -->"
SEEDS = (1, 2)
LONGEST = 20 / 60  # hours of training
KEPT = ("data", "split", "scheme", "way", "shot", "query", "episodes", "episodes_seed", "metric")
HEAD = (
    "| recipe | task | seed 0 | seed 1 | seed 2 | mean of seeds |",
    "| --- | --- | --- | --- | --- | --- |",
)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("recipes", nargs="*", metavar="RECIPE")
    parser.add_argument("--table", action="store_true", help="only write the table")
    given = parser.parse_args()
    unknown = set(given.recipes) - set(repeated())
    if unknown:
        parser.error(f"not trained anew: {', '.join(sorted(unknown))}")
    torch.set_num_threads(1)
    episode_evaluate.score_baselines = nothing  # type: ignore[assignment, attr-defined]
    episode_evaluate.simple_scores = nothing  # type: ignore[assignment, attr-defined]
    if not given.table:
        for seed in SEEDS:  # the first of all recipes before the second of any
            for name in given.recipes or repeated():
                add(name, seed)
    result_pages.replace(run.PAGE, BEGIN, END, table())


def nothing(*_: Any) -> dict[str, Any]:
    """In the place of baselines, which seed 0 has."""
    return {}


def repeated() -> list[str]:
    """Recipes of `run.PLANS` that train for at most twenty minutes, the shortest first."""
    measured = [name for name in run.PLANS if (run.RESULTS / f"{name}.json").is_file()]
    hours = {name: own(name)["hours"] for name in measured if "sinusoid" not in name}
    return sorted((name for name in hours if hours[name] <= LONGEST), key=lambda name: hours[name])


def own(name: str) -> dict[str, Any]:
    """The results file of seed 0."""
    found: dict[str, Any] = json.loads((run.RESULTS / f"{name}.json").read_text())
    return found


def read() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(FILE.read_text()) if FILE.is_file() else {}
    return found


def add(name: str, seed: int) -> None:
    """Trains and evaluates one seed, unless the file has it."""
    if str(seed) in read().get(name, {}):
        return
    recipe, changes = run.VARIANTS.get(name, (name, []))
    used = run.processor_seconds()
    train = run.metacli("meta-train", recipe, *changes, f"seed={seed}", "baselines=[]")
    took = run.processor_seconds() - used
    facts = json.loads((Path(train["run"]) / "run.json").read_text())
    found = {
        "train_commit": (facts.get("commit") or "")[:7] or None,
        "processor_hours": round(took / 3600, 4),
        "threads": facts["threads"],
        "evaluate": [of_plan(train["run"], options) for options in run.PLANS[name]],
    }
    document = read()
    document.setdefault(name, {})[str(seed)] = found
    FILE.write_text(json.dumps(document, indent=1) + "\n")


def of_plan(trained: str, options: run.Options) -> dict[str, Any]:
    """What `evaluate` says of one entry of a plan."""
    words = {key: value for key, value in options.items() if key not in ("data", "inner_steps")}
    steps = {key: options[key] for key in ("inner_steps",) if key in options}
    score = evaluate(trained, options.get("data"), steps, **words)
    return {key: score[key] for key in (*KEPT, "mean", "ci95")}


def table() -> str:
    """Markdown: a row for each evaluation; the last column has a t interval over the seeds."""
    lines = list(HEAD)
    found = read()
    for name in [name for name in run.PLANS if name in found]:
        first = own(name)
        for index, score in enumerate(first["evaluate"]):
            more = [found[name][seed]["evaluate"][index] for seed in sorted(found[name])]
            means = [one["mean"] for one in (score, *more)]
            cells = [shown(score, mean) for mean in means] + [""] * (len(SEEDS) - len(more))
            of_seeds = over_seeds(np.array(means)).as_dict()
            of_all = result_tables.shown(score, of_seeds) if len(means) == 3 else ""
            task = result_tables.task_of(score)
            lines.append(result_tables.joined(result_tables.link(first), task, *cells, of_all))
    return "\n".join(lines)


def shown(score: dict[str, Any], mean: float) -> str:
    return f"{100 * mean:.2f}" if score["metric"] == "accuracy" else f"{mean:.3f}"


if __name__ == "__main__":
    main()
