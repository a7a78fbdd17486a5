"""Balancing methods on generated scenes, as `protocols/scenes.md` says:

    python benchmarks/scenes.py [--conflict C]... [--arms NAME,NAME] [--worlds N]
    python benchmarks/scenes.py --reduced        # smaller networks, fewer steps
    python benchmarks/scenes.py --reduced --curve          # how far single tasks learn, in world 0

Each line of `results/scenes.jsonl` (`results/scenes-reduced.jsonl`) is one training; what is there
is not computed again, so that the work can be stopped and divided. Processor time is in every line.
`scenes_table.py` shows what is there.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
from run import machine

from metacli.algorithms import ALGORITHMS, names
from metacli.algorithms.multitask.method import jacobian
from metacli.data.scenes.generated import SceneOptions, Scenes, scenes
from metacli.engine.dense.build import DenseBuilt, build_dense
from metacli.engine.dense.run import DenseRun
from metacli.engine.dense.scoring import image_losses, scores_on
from metacli.engine.training.loop import Snapshot
from metacli.engine.training.runs import Hooks
from metacli.nn.dense.problem import DenseProblem
from metacli.schema.load import load
from metacli.trees import pick
from metacli.types import Params

RESULTS = Path(__file__).parent / "results"
RATES, CONFLICTS, WORLDS = (1e-3, 2e-3, 4e-3), (0.0, 0.5, 1.0), 5
SINGLE = "single-task"
LEFT_OUT = ("fixed", "auto-lambda")
# Trained in all worlds before the others are begun, in the reduced protocol.
EARLY = (SINGLE, "equal", "uncertainty", "mtan", "nash-mtl", "pcgrad")


@dataclass(frozen=True)
class Protocol:
    """What is trained.

    Args:
        file: of results. words: overrides of the recipe. rates: more than one are tried in world 0.
        conflicts: in the order of the work. first: how many of these are done in all worlds before
            the others. seconds: of processor time, after which nothing new is begun.
    """

    file: str
    words: tuple[str, ...] = ()
    rates: tuple[float, ...] = RATES
    conflicts: tuple[float, ...] = CONFLICTS
    first: int = 1
    worlds: int = WORLDS
    seconds: float = float("inf")

    @property
    def path(self) -> Path:
        return RESULTS / self.file


FULL = Protocol("scenes.jsonl")
REDUCED = Protocol(
    "scenes-reduced.jsonl",
    (
        *("data.images=200", "data.val=100", "data.test=200", "data.rows=8"),
        *("backbone.widths=[8,16,32]", "train.steps=200", "evaluate.every=50"),
    ),
    rates=(4e-3,),
    conflicts=(0.0, 1.0, 0.5),
    first=2,
    worlds=3,
    seconds=3600,
)


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


@lru_cache(maxsize=4)
def made_once(options: SceneOptions, split: str) -> Scenes:
    return scenes(options, split)


def built_for(
    protocol: Protocol, arm: str, conflict: float, world: int, words: tuple[str, ...]
) -> DenseBuilt:
    """The recipe with everything of this training; its images are made once for all arms."""
    named = (f"data.conflict={conflict}", f"data.seed={world}", f"seed={world}")
    built = build_dense(load("scenes-hard", [*protocol.words, *arms()[arm], *named, *words]))
    for split in ("train", "val"):
        built.__dict__[split] = made_once(built.options, split)
    return built


def trained(
    protocol: Protocol, arm: str, conflict: float, world: int, rate: float, steps: int | None
) -> dict[str, Any]:
    """One training, and its measures on validation and (not in world 0) test images."""
    words = (f"train.lr={rate}", *([] if steps is None else [f"train.steps={steps}"]))
    built = built_for(protocol, arm, conflict, world, words)
    run, began = DenseRun(built), time.process_time()
    best, cosines = fitted(built, run, cosines=arm == "equal")
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
        test = made_once(built.options, "test")
        line["test"] = scores_on(built.problem, best.params, test)
    return line


def curve(protocol: Protocol, conflict: float, rate: float, steps: int) -> Iterator[dict[str, Any]]:
    """Measures of networks apart on validation images of world 0 as they learn: whether the steps
    of the protocol are enough, and which rate is good."""
    words = (f"train.lr={rate}", f"train.steps={steps}")
    built = built_for(protocol, SINGLE, conflict, 0, words)
    run, found = DenseRun(built), []

    def visit(snapshot: Snapshot) -> None:
        losses = image_losses(built.problem, snapshot.params, built.val).mean(1)
        scores = scores_on(built.problem, snapshot.params, built.val)
        line = {"curve": SINGLE, "conflict": conflict, "world": 0, "rate": rate}
        found.append({**line, "step": snapshot.step, "val_losses": losses.tolist(), "val": scores})

    start = run.start()
    hooks = Hooks(visit, lambda: False, lambda event: None)
    begin = Snapshot(0, dict(start.params), start.state, {})
    run.train(begin, start.learned, torch.device("cpu"), hooks)
    yield from found


def fitted(built: DenseBuilt, run: DenseRun, *, cosines: bool) -> tuple[Snapshot, list[float]]:
    """The state with the best validation, and the tasks' cosine at every validated one."""
    start = run.start()
    best: list[tuple[float, Snapshot]] = []
    seen: list[float] = []

    def visit(snapshot: Snapshot) -> None:
        value = float(image_losses(built.problem, snapshot.params, built.val).mean())
        if cosines:
            seen.append(cosine(built.problem, snapshot.params, built))
        if not best or value < best[0][0]:
            kept = {name: one.clone() for name, one in snapshot.params.items()}
            best[:] = [(value, replace(snapshot, params=kept))]

    hooks = Hooks(visit, lambda: False, lambda event: None)
    begin = Snapshot(0, dict(start.params), start.state, {})
    run.train(begin, start.learned, torch.device("cpu"), hooks)
    return best[0][1], seen


def cosine(problem: DenseProblem, params: Params, built: DenseBuilt) -> float:
    """Mean over pairs of tasks, on 64 training images."""
    whole = built.train_batch
    some = whole._replace(x=whole.x[:64], y=whole.y[:64])
    rows = jacobian(problem, params, pick(params, problem.shared), some)
    unit = rows / rows.norm(dim=1, keepdim=True).clamp(min=1e-12)
    above = torch.triu_indices(len(rows), len(rows), 1)
    return float((unit @ unit.T)[above[0], above[1]].mean())


def lines(protocol: Protocol) -> list[dict[str, Any]]:
    """Of trainings, each once; not of curves."""
    if not protocol.path.exists():
        return []
    read = [json.loads(line) for line in protocol.path.read_text().splitlines()]
    once = {(x["arm"], x["conflict"], x["world"], x["rate"]): x for x in read[::-1] if "arm" in x}
    return list(once.values())[::-1]


def work(protocol: Protocol, asked: argparse.Namespace) -> Iterator[tuple[str, float, int, float]]:
    """What is missing, in an order in which rates are chosen before they are used."""
    chosen = asked.arms.split(",") if asked.arms else list(arms())
    conflicts = tuple(asked.conflict or protocol.conflicts)
    worlds = range(1, (asked.worlds or protocol.worlds) + 1)
    late = [arm for arm in chosen if arm not in EARLY]
    groups = (chosen,) if len(protocol.rates) > 1 else ([a for a in chosen if a in EARLY], late)
    for some in (conflicts[: protocol.first], conflicts[protocol.first :]):
        if len(protocol.rates) > 1:
            for conflict in some:
                for arm in chosen:
                    for rate in protocol.rates:
                        if not found(protocol, arm, conflict, 0, rate):
                            yield arm, conflict, 0, rate
        for group in groups:
            for world in worlds:
                for conflict in some:
                    for arm in group:
                        rate = best_rate(protocol, arm, conflict)
                        if not found(protocol, arm, conflict, world, rate):
                            yield arm, conflict, world, rate


def found(protocol: Protocol, arm: str, conflict: float, world: int, rate: float) -> bool:
    wanted = (arm, conflict, world, rate)
    known = lines(protocol)
    return any((x["arm"], x["conflict"], x["world"], x["rate"]) == wanted for x in known)


def best_rate(protocol: Protocol, arm: str, conflict: float) -> float:
    """By the validation loss in world 0; the only one where there is no choice."""
    if len(protocol.rates) == 1:
        return protocol.rates[0]
    wanted = (arm, conflict, 0)
    known = [x for x in lines(protocol) if (x["arm"], x["conflict"], x["world"]) == wanted]
    best: float = min(known, key=lambda x: x["val_loss"])["rate"]
    return best


def spent(protocol: Protocol) -> float:
    """Seconds of processor time."""
    return sum(float(line["processor_seconds"]) for line in lines(protocol))


def written(protocol: Protocol, line: dict[str, Any]) -> None:
    print(json.dumps(line), file=sys.stderr, flush=True)
    with protocol.path.open("a") as file:
        file.write(json.dumps(line) + "\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--conflict", type=float, action="append")
    parser.add_argument("--arms")
    parser.add_argument("--worlds", type=int)
    parser.add_argument("--reduced", action="store_true")
    parser.add_argument("--steps", type=int, help="of a try; its line is no result")
    parser.add_argument("--curve", action="store_true", help="800 steps of networks apart")
    parser.add_argument("--rates", default="0.002,0.004", help="of --curve")
    asked = parser.parse_args()
    protocol = REDUCED if asked.reduced else FULL
    torch.set_num_threads(1)
    if asked.curve:
        for rate in asked.rates.split(","):
            for line in curve(protocol, 0.5, float(rate), asked.steps or 800):
                written(protocol, line)
        return
    for arm, conflict, world, rate in work(protocol, asked):
        if spent(protocol) >= protocol.seconds:
            print("the processor time of the protocol is spent", file=sys.stderr)
            return
        line = trained(protocol, arm, conflict, world, rate, asked.steps)
        if asked.steps is not None:
            print(json.dumps(line), file=sys.stderr, flush=True)
            return
        written(protocol, line)


if __name__ == "__main__":
    main()
