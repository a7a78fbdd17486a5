"""`tables-prior` trained further on related tables, beside MAML and one network of all tasks.

    python benchmarks/tables_prior_own.py      # resumes; results/tables_prior-own.json

School: the training schools are the tables that somebody has, the test schools those that come
later, with 10 pupils each. Each learner is trained with each of `RATES` for as many steps; the rate
is the one with the best validation error, on the validation schools, and its model alone reads the
test schools: `evaluate`, 600 episodes, the same for all. Differences are paired:
over episodes between learners, over schools to simple models.
"""

from __future__ import annotations

import json
import platform
import subprocess
import sys
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
RUNS, FILE = HERE.parent / "build" / "tables-prior-own", HERE / "results" / "tables_prior-own.json"
RATES = ("1e-3", "3e-3", "1e-2")
OURS = "tables-prior"
ARMS: dict[str, list[str]] = {
    OURS: ["school-10shot-tables-prior"],
    "fresh": ["school-10shot-tables-prior", "algorithm.start=fresh"],
    "maml": ["school-10shot-maml"],
    "joint": ["school-10shot-maml", "algorithm.name=joint"],
}
STEPS, EPISODES = 1000, 600


def main() -> None:
    found: dict[str, Any] = {}
    before = earlier()
    for arm, words in ARMS.items():
        tried = before.get(arm) or {rate: trained(arm, rate, words) for rate in RATES}
        best = min(tried, key=tried.__getitem__)
        assert trained(arm, best, words) == tried[best], f"{arm} is not what it was"
        run = str(RUNS / f"{arm}-{best}")
        tested = metacli("evaluate", run, "--episodes", str(EPISODES), "--force")
        kept = {key: tested[key] for key in ("metric", "mean", "ci95", "baselines")}
        found[arm] = {"validation": tried, "rate": best, "run": run, **kept}
        print(arm, best, tested["mean"], flush=True)
    runs = {arm: one.pop("run") for arm, one in found.items()}
    for arm, run in runs.items():
        if arm != OURS:
            pair = metacli("compare", runs[OURS], run)["pairs"][0]
            found[arm]["compared"] = {key: pair[key] for key in ("delta", "delta_ci95", "n")}
    document = {
        "made_by": "python benchmarks/tables_prior_own.py",
        "machine": f"{platform.machine()}, 1 thread",
        "data": "school, unseen schools, 10 pupils",
        "steps": STEPS,
        "episodes": EPISODES,
        "arms": found,
    }
    FILE.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")


def earlier() -> dict[str, dict[str, float]]:
    """The validation errors of the learners that do not begin from the weights of metacli, by rate:
    those stay what they were, and the best one is trained again to be seen to be."""
    told = json.loads(FILE.read_text())["arms"] if FILE.is_file() else {}
    return {arm: told[arm]["validation"] for arm in ARMS if arm != OURS and arm in told}


def trained(arm: str, rate: str, words: list[str]) -> float:
    """The validation error of a training, which is continued where it was stopped."""
    run = RUNS / f"{arm}-{rate}"
    if not (run / "model").is_dir():
        settings = [f"train.lr={rate}", f"train.steps={STEPS}", "-o", str(run)]
        begun = (run / "recipe.yaml").is_file()
        metacli("meta-train", *(["--resume", str(run)] if begun else [*words, *settings]))
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    return min(line["val"]["mse"]["mean"] for line in lines if "val" in line)


def metacli(*words: str) -> dict[str, Any]:
    """The result of a command. Raises CalledProcessError where it failed."""
    command = [sys.executable, "-m", "metacli", *words, "--json"]
    done = subprocess.run(command, stdout=subprocess.PIPE, check=True)
    result: dict[str, Any] = json.loads(done.stdout)["result"]
    return result


if __name__ == "__main__":
    main()
