"""The guard on families that nothing was chosen on: `python benchmarks/guarded_families.py`.

The protocol is protocols/guard.md. Writes results/tasks/guard.json after each family and goes on
with one that was begun; its trainings are kept in build/guard.
"""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import learning
import numpy as np
import torch
from families import FAMILIES, against, interval
from learning import CPU, QUIET, RESULTS, learned, say, write

from metacli.engine.results.evaluate import TaskScore
from metacli.engine.scoring.multi_task_evaluate import judged
from metacli.engine.scoring.multi_task_params import predictions
from metacli.engine.training.multi_task import guard as deciding
from metacli.engine.training.multi_task import single_task
from metacli.engine.training.multi_task.build import build_multi_task
from metacli.engine.training.multi_task.candidates import others
from metacli.engine.training.multi_task.compare import alone_candidate, chosen, together_candidate
from metacli.engine.training.multi_task.guard import Decision, decide, mean_of
from metacli.engine.training.multi_task.single_task import TRAININGS, repetitions
from metacli.schema.load import load

BUILD = Path(__file__).resolve().parent.parent / "build" / "guard"
SEEDS = range(400, 405)
COUNTED = ("tasks", "hurt", "helped", "unrelated", "unrelated_hurt")


class Kept:
    """`train_best` with what it made on the disk, by its label: of a family that was begun."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.seconds = folder, 0.0
        folder.mkdir(parents=True, exist_ok=True)

    def __call__(self, candidate: Any, rows: Any, *more: Any) -> Any:
        name = f"{more[-1]} {candidate.recipe.seed}.pt"
        path, begun = self.folder / name, time.process_time()
        if not path.is_file():
            made = single_task.train_best(candidate, rows, *more)
            assert made is not None
            seconds = torch.tensor(time.process_time() - begun)
            torch.save({"params": made[0], "step": made[1], "seconds": seconds}, path)
        found = torch.load(path, weights_only=True)
        self.seconds += float(found["seconds"])
        return found["params"], found["step"]


def one_family(seed: int, overrides: tuple[str, ...]) -> dict[str, Any]:
    """What a run with `guard=true` answers and its own network, each beside each task by itself;
    and under `alone` two networks of a task's own beside one."""
    built = build_multi_task(load("task-families-hard", (f"data.seed={seed}", *overrides)))
    rows, steps = built.rows, built.recipe.train.steps
    own, alone = together_candidate(built), alone_candidate(built)
    guard = decide(own, alone, rows, steps, CPU, QUIET, lambda inner: others(built, inner))
    assert guard is not None
    taken = (own, *others(built, rows))[guard.network]
    once = {
        one.name: [
            predictions(again.problem, learned(again, rows), rows, "test")
            for again in repetitions(one, TRAININGS)
        ]
        for one in {each.name: each for each in (own, taken, alone)}.values()
    }
    told = {name: mean_of(each) for name, each in once.items()}
    guarded = chosen(guard.decisions, told[taken.name], told[alone.name])
    known = np.array(rows.table.groups)
    y, names = rows.numbers("test")[1], rows.table.tasks
    tested = judged("nmse", names, y, told[taken.name], told[alone.name])
    return {
        "network": guard.name,
        "shares": sum(one.shares for one in guard.decisions),
        "test_rows": len(rows.parts["test"][0]),
        "ways": {
            "together": against(rows, told[own.name], told[alone.name], known),
            "guarded": against(rows, guarded, told[alone.name], known),
            "alone": against(rows, told[alone.name], once[alone.name][0], known),
        },
        "each": [
            of_task(*one)
            for one in zip(names, rows.parts["train"], guard.decisions, tested, strict=True)
        ],
    }


def of_task(name: str, train: np.ndarray, inner: Decision, test: TaskScore) -> dict[str, Any]:
    """What the folds said of sharing by the network that is taken, and what test rows say of it,
    whether the task shares or not. A gain is positive where sharing is better."""
    assert test.delta is not None
    found = {"task": name, "training_rows": len(train), "shares": inner.shares}
    folds = {"inner_gain": round(inner.gain, 5), "inner_error": round(inner.error, 5)}
    return {**found, **folds, "test_gain": round(-test.delta, 5), "test_verdict": test.verdict}


def summed_up(found: list[dict[str, Any]]) -> dict[str, Any]:
    """Verdicts added up, and the mean difference over the seeds."""
    ways = {}
    for way in ("together", "guarded", "alone"):
        each = [one["ways"][way] for one in found]
        counts = {key: sum(one[key] for one in each) for key in COUNTED}
        deltas = [one["delta"] for one in each]
        over = interval(deltas) if len(deltas) > 1 else {"mean": deltas[0], "ci95": None}
        ways[way] = {**counts, "delta": over}
    return {"seeds": len(found), "shares": sum(one["shares"] for one in found), "ways": ways}


def main() -> None:
    torch.set_num_threads(1)
    path, started = RESULTS / "guard.json", time.monotonic()
    found = json.loads(path.read_text())["families"] if path.is_file() else []
    done = {(one["family"], one["seed"]) for one in found}
    for name, overrides in FAMILIES.items():
        for seed in SEEDS:
            if (name, seed) in done:
                continue
            train = Kept(BUILD / f"{name} {seed}")
            deciding.train_best = learning.train_best = train
            made, seconds = one_family(seed, overrides), round(train.seconds, 1)
            found.append({"family": name, "seed": seed, "processor_seconds": seconds, **made})
            say(name, seed, found[-1])
            kinds = [one for one in FAMILIES if any(each["family"] == one for each in found)]
            summary = {
                kind: summed_up([one for one in found if one["family"] == kind]) for kind in kinds
            }
            document = {"metric": "nmse", "summary": summary, "families": found}
            write("guard", document, started)


if __name__ == "__main__":
    main()
