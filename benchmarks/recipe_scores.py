"""One training and one evaluation of shipped recipes that no other benchmark measures, by the
commands that a user types:

    python benchmarks/recipe_scores.py [RECIPE...]

Everything stays as the recipe has it: its seed, its length, its test rows. A run that was stopped
is continued (build/recipe-scores). Writes benchmarks/results/recipes/<recipe>.json with the
commands' own JSON; `python benchmarks/measured.py` puts the scores into `metacli recipes`.
"""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
from pathlib import Path
from typing import Any

from metacli.schema.load import load

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
RESULTS, RUNS = HERE / "results" / "recipes", ROOT / "build" / "recipe-scores"
RECIPES = (
    *("fdu-mtl-soft", "grasps-10shot-maml", "heart-10shot-maml", "omniglot-alphabets-hard"),
    *("scenes-hard", "scenes-mtan", "tox21-10shot-r2d2", "generated-tables-prior"),
)
VERBS = {"meta": "meta-train", "multitask": "multitask", "meta-multitask": "meta-train"}
TESTED = {
    "meta": "unseen tasks",
    "multitask": "test rows",
    "meta-multitask": "unseen sets, joint",
}
LONG = ("trajectory", "history", "per_task", "confusion", "scores", "plot")  # of no use here


def main(names: list[str]) -> None:
    RESULTS.mkdir(parents=True, exist_ok=True)
    for name in names or RECIPES:
        path = RESULTS / f"{name}.json"
        path.write_text(json.dumps(measured(name), indent=1) + "\n", encoding="utf-8")
        print(path, flush=True)


def measured(name: str) -> dict[str, Any]:
    kind = load(name).recipe.kind
    run, verb = RUNS / name, VERBS[kind]
    words = ["--resume", str(run)] if (run / "recipe.yaml").is_file() else [name, "-o", str(run)]
    trained = metacli(verb, *words)
    tested = metacli("evaluate", str(run), "--force")
    seconds = json.loads((run / "run.json").read_text())["seconds"]  # of all its parts
    return {
        "recipe": name,
        "commands": [f"metacli {verb} {name} -o RUN", "metacli evaluate RUN"],
        "machine": f"{platform.machine()}, {os.environ.get('OMP_NUM_THREADS', 'all')} threads",
        "minutes": round(seconds / 60, 1),
        "steps": trained["result"]["steps"],
        "tested": TESTED[kind],
        "evaluate": {key: one for key, one in tested["result"].items() if key not in LONG},
    }


def metacli(*words: str) -> dict[str, Any]:
    """The JSON that a command prints.

    Raises:
        subprocess.CalledProcessError: it failed; what it said is on the terminal.
    """
    said = subprocess.run(
        [sys.executable, "-m", "metacli", *words, "--json"],
        check=True,
        stdout=subprocess.PIPE,
        cwd=ROOT,
    )
    found: dict[str, Any] = json.loads(said.stdout)
    return found


if __name__ == "__main__":
    main(sys.argv[1:])
