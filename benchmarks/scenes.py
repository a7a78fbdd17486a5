"""Balancing methods on generated scenes, as `protocols/scenes.md` says:

    python benchmarks/scenes.py [--conflict C]... [--arms NAME,NAME] [--worlds N]
    python benchmarks/scenes.py --table          # what is there, as Markdown

Each line of `results/scenes.jsonl` is one training; what is there is not computed again, so that
the work can be stopped and divided. Processor time is in every line.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from run import machine

from metacli.algorithms import ALGORITHMS, names
from metacli.algorithms.multitask.method import jacobian
from metacli.data.scenes.generated import scenes
from metacli.engine.dense.build import DenseBuilt, build_dense
from metacli.engine.dense.run import DenseRun
from metacli.engine.dense.scoring import image_losses, scores_on
from metacli.engine.scoring.dense_measures import delta_p
from metacli.engine.scoring.intervals import paired_t
from metacli.engine.training.loop import Snapshot
from metacli.engine.training.runs import Hooks
from metacli.nn.dense.problem import DenseProblem
from metacli.schema.load import load
from metacli.trees import pick
from metacli.types import Params

RESULTS = Path(__file__).parent / "results" / "scenes.jsonl"
RATES, CONFLICTS, WORLDS = (1e-3, 2e-3, 4e-3), (0.0, 0.5, 1.0), 5
SINGLE = "single-task"
LEFT_OUT = ("fixed", "auto-lambda")


def arms() -> dict[str, tuple[str, ...]]:
    """Overrides of the recipe by arm."""
    found: dict[str, tuple[str, ...]] = {
        SINGLE: ("sharing.name=apart", "weighting.name=fixed", "weighting.weights=[3.0,3.0,3.0]"),
        "equal": (),
        "mtan": ("sharing.name=mtan",),
        "cross-stitch": ("sharing.name=cross-stitch",),
    }
    for name in names("multitask"):
        module = ALGORITHMS[name].module
        if name in (*LEFT_OUT, "equal") or ALGORITHMS[name].outside:
            continue
        if ".surgery." in module:
            weighting = ALGORITHMS[name].load()().weighting
            found[name] = (f"surgery.name={name}", f"weighting.name={weighting}")
        elif ".weighting." in module:
            found[name] = (f"weighting.name={name}",)
    return found


def trained(
    arm: str, conflict: float, world: int, rate: float, steps: int | None
) -> dict[str, Any]:
    """One training, and its measures on validation and (not in world 0) test images."""
    words = [*arms()[arm], f"data.conflict={conflict}", f"data.seed={world}", f"seed={world}"]
    words += [f"train.lr={rate}", *([] if steps is None else [f"train.steps={steps}"])]
    built = build_dense(load("scenes-hard", words))
    run, began = DenseRun(built), time.process_time()
    best, cosines = fitted(built, run)
    line = {
        "arm": arm,
        "conflict": conflict,
        "world": world,
        "rate": rate,
        "steps": built.recipe.train.steps,
        "best_step": best.step,
        "val_loss": float(image_losses(built.problem, best.params, built.val).mean()),
        "cosine": cosines,
        "processor_seconds": round(time.process_time() - began, 1),
        "machine": machine(),
    }
    if world:
        test = scenes(built.options, "test")
        line["test"] = scores_on(built.problem, best.params, test)
    return line


def fitted(built: DenseBuilt, run: DenseRun) -> tuple[Snapshot, list[float]]:
    """The state with the best validation, and the tasks' cosine at every validated one."""
    start = run.start()
    best: list[tuple[float, Snapshot]] = []
    cosines: list[float] = []

    def visit(snapshot: Snapshot) -> None:
        value = float(image_losses(built.problem, snapshot.params, built.val).mean())
        if built.problem.shared and built.recipe.sharing.name == "hard":
            cosines.append(cosine(built.problem, snapshot.params, built))
        if not best or value < best[0][0]:
            kept = {name: one.clone() for name, one in snapshot.params.items()}
            best[:] = [(value, replace(snapshot, params=kept))]

    hooks = Hooks(visit, lambda: False, lambda event: None)
    begin = Snapshot(0, dict(start.params), start.state, {})
    run.train(begin, start.learned, torch.device("cpu"), hooks)
    return best[0][1], cosines


def cosine(problem: DenseProblem, params: Params, built: DenseBuilt) -> float:
    """Mean over pairs of tasks, on 64 training images."""
    whole = built.train_batch
    some = whole._replace(x=whole.x[:64], y=whole.y[:64])
    rows = jacobian(problem, params, pick(params, problem.shared), some)
    unit = rows / rows.norm(dim=1, keepdim=True).clamp(min=1e-12)
    above = torch.triu_indices(len(rows), len(rows), 1)
    return float((unit @ unit.T)[above[0], above[1]].mean())


def lines() -> list[dict[str, Any]]:
    if not RESULTS.exists():
        return []
    return [json.loads(line) for line in RESULTS.read_text().splitlines()]


def work(asked: argparse.Namespace) -> Iterator[tuple[str, float, int, float]]:
    """What is missing, in an order in which rates are chosen before they are used."""
    chosen = asked.arms.split(",") if asked.arms else list(arms())
    for conflict in asked.conflict or CONFLICTS:
        for arm in chosen:
            for rate in RATES:
                if not found(arm, conflict, 0, rate):
                    yield arm, conflict, 0, rate
            for world in range(1, asked.worlds + 1):
                rate = best_rate(arm, conflict)
                if not found(arm, conflict, world, rate):
                    yield arm, conflict, world, rate


def found(arm: str, conflict: float, world: int, rate: float) -> bool:
    wanted = (arm, conflict, world, rate)
    return any((x["arm"], x["conflict"], x["world"], x["rate"]) == wanted for x in lines())


def best_rate(arm: str, conflict: float) -> float:
    """By the validation loss in world 0."""
    known = [x for x in lines() if (x["arm"], x["conflict"], x["world"]) == (arm, conflict, 0)]
    return min(known, key=lambda x: x["val_loss"])["rate"]


def table() -> str:
    """Δp of each arm and conflict, with its interval over worlds."""
    rows = ["| arm | conflict | worlds | Δp | mIoU | depth error | mean angle |"]
    rows.append("| --- | --- | --- | --- | --- | --- | --- |")
    tested = [x for x in lines() if "test" in x]
    alone = {(x["conflict"], x["world"]): x["test"] for x in tested if x["arm"] == SINGLE}
    for conflict in CONFLICTS:
        for arm in arms():
            mine = [x for x in tested if (x["arm"], x["conflict"]) == (arm, conflict)]
            mine = [x for x in mine if (conflict, x["world"]) in alone]
            if not mine:
                continue
            changes = np.array([delta_p(x["test"], alone[conflict, x["world"]]) for x in mine])
            change = paired_t(changes)
            mean = lambda task, name, mine=mine: np.mean([x["test"][task][name] for x in mine])  # noqa: E731
            rows.append(
                f"| {arm} | {conflict:g} | {len(mine)} | {100 * change.delta:+.1f} % "
                f"[{100 * change.low:+.1f}, {100 * change.high:+.1f}] | "
                f"{100 * mean('segmentation', 'miou'):.1f} % | {mean('depth', 'abs_error'):.3f} | "
                f"{mean('normals', 'mean_angle'):.1f}° |"
            )
    return "\n".join(rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--conflict", type=float, action="append")
    parser.add_argument("--arms")
    parser.add_argument("--worlds", type=int, default=WORLDS)
    parser.add_argument("--steps", type=int, help="of a try; its lines are no result")
    parser.add_argument("--table", action="store_true")
    asked = parser.parse_args()
    if asked.table:
        print(table())
        return
    torch.set_num_threads(1)
    for arm, conflict, world, rate in work(asked):
        line = trained(arm, conflict, world, rate, asked.steps)
        print(json.dumps(line), file=sys.stderr, flush=True)
        if asked.steps is not None:
            return
        with RESULTS.open("a") as file:
            file.write(json.dumps(line) + "\n")


if __name__ == "__main__":
    main()
