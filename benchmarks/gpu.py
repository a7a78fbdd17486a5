"""Every learner on a GPU against the CPU, and how fast it is: `sh benchmarks/gpu.sh` writes
results/speed-gpu.json. At most 8 minutes; what there was no time for is named.

Correct: the direction of every few-shot learner and of multi-task training in float64 on both
devices, on the same episodes, with `precision: float32` products. Fast: an outer step of MAML
in every execution, beside `torch.func.vmap` over all tasks and in its best chunk, an eager loop,
TorchOpt's loop and TorchOpt under vmap; in float32, with tf32 products, and bfloat16 in a loop.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import torch
from run import RESULTS, commit, machine
from speed import (
    INPUTS,
    Shape,
    episodes_of,
    implementations,
    name_of_shape,
    start,
)

from metacli.algorithms import ALGORITHMS, names
from metacli.algorithms.multitask.method import MultiTask
from metacli.algorithms.multitask.surgery.mgda import MGDA
from metacli.algorithms.multitask.weighting.equal import Equal
from metacli.autodiff import map_batches
from metacli.engine.models.networks import make_problem, restore_learner
from metacli.engine.scoring.episodes import to_device
from metacli.engine.training.precision import products_of
from metacli.nn.multi_task import TaskProblem
from metacli.nn.sharing import SHARING
from metacli.schema.few_shot import FewShotRecipe
from metacli.types import Batch, Episode, Params

FILE = RESULTS / "speed-gpu.json"
CPU = torch.device("cpu")
WAY = 3
SHAPES = (Shape("maml", 5, 1, 1, 32), Shape("maml", 5, 15, 5, 8), Shape("protonet", 5, 15, 0, 8))
CLOSE = 1e-8


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--minutes", type=float, default=7.0)
    parser.add_argument("--device", default="cuda", help="cpu tries the program itself")
    given = parser.parse_args()
    device, until = torch.device(given.device), time.monotonic() + 60 * given.minutes
    checks, left_out = checked(device, until - 30 * given.minutes)
    rows = timed(device, until)
    facts: dict[str, Any] = {"commit": commit(), "machine": machine(), "torch": torch.__version__}
    if device.type == "cuda":
        facts["device"] = torch.cuda.get_device_name(device)
        facts["device_mb"] = torch.cuda.get_device_properties(device).total_memory // 2**20
    result = {**facts, "checks": checks, "left_out": left_out, "rows": rows}
    if device.type == "cuda":
        FILE.write_text(json.dumps(result, indent=1) + "\n")
    bad = [one for one in checks if not one["error"] < CLOSE]
    print(json.dumps({"checks": len(checks), "bad": bad, "left_out": left_out}))
    if bad:
        raise SystemExit("a learner gives another direction on the device than on the CPU")


def checked(device: torch.device, until: float) -> tuple[list[dict[str, Any]], list[str]]:
    """The largest difference between both devices of each learner's direction, and which learners
    there was no time for."""
    found, left_out = [], []
    cases: dict[str, Callable[[torch.device], Params]] = {
        name: lambda at, name=name: few_shot(name, at)
        for name in names("meta")
        if ALGORITHMS[name].family == "meta"
    }
    cases |= {
        f"multitask {name}": lambda at, name=name: multi_task(name, at)
        for name in ("hard", "soft-l2", "mmoe", "ple", "cross-stitch")
    }
    for name, direction in cases.items():
        if time.monotonic() > until:
            left_out.append(name)
            continue
        with products_of("float32", device):
            here, there = direction(CPU), direction(device)
        gaps = [float((here[k] - v.cpu()).abs().max()) for k, v in there.items()]
        found.append({"what": name, "error": max(gaps)})
        print(f"{name}: {max(gaps):.1e}", flush=True)
    return found, left_out


def few_shot(name: str, device: torch.device) -> Params:
    """The direction of a learner on a meta-batch of glyphs or waves, in float64."""
    fields = {"name": name, **ALGORITHMS[name].preset}
    recipe = FewShotRecipe.model_validate(
        {
            "kind": "meta",
            "data": {"source": "glyphs"},
            "episodes": {"way": WAY, "shot": 1, "query": 2},
            "backbone": {"name": "conv4", "width": 16, "norm": "group"},
            "algorithm": fields,
            "train": {"steps": 1, "meta_batch": 4},
        }
    )
    learner = restore_learner(recipe)
    if "classification" not in learner.kinds:
        return waves(recipe, device)
    problem = replace(make_problem(recipe, learner, INPUTS, WAY), chunk=2)
    source = episodes_of(Shape("maml", WAY, 2, 1, 4))
    return direction_of(learner, problem, source.meta_batch_at(0), device)


def waves(recipe: FewShotRecipe, device: torch.device) -> Params:
    """The same of a learner for regression alone."""
    from metacli.data.catalogue.sinusoid import Sinusoids
    from metacli.engine.models.inputs import InputSpec

    plain = {**recipe.plain(), "backbone": {"name": "mlp", "hidden": [16]}}
    plain |= {"data": {"source": "sinusoid"}, "episodes": {"way": 1, "shot": 5, "query": 5}}
    changed = FewShotRecipe.model_validate(plain)
    learner = restore_learner(changed)
    problem = replace(make_problem(changed, learner, InputSpec("numbers", (1,)), 1), chunk=2)
    source = Sinusoids(5, 5, ("train", 0), meta_batch=4)
    episodes = map_batches(lambda value: value.double(), source.meta_batch_at(0))
    return direction_of(learner, problem, episodes, device)


def direction_of(learner: Any, problem: Any, episodes: Episode, device: torch.device) -> Params:
    params = problem.init(0, torch.float64)
    own, state = learner.init(problem, params)
    theta = {name: value.to(device) for name, value in {**params, **own}.items()}
    rng = torch.Generator().manual_seed(0)
    return dict(
        learner.direction(problem, theta, to_device(episodes, device), state, rng).direction
    )


def multi_task(sharing: str, device: torch.device) -> Params:
    """The direction of MGDA on four regressions and classifications."""
    rng = torch.Generator().manual_seed(0)
    problem = TaskProblem(SHARING[sharing]()(), (6, 16), (False, True, False, True))
    x = torch.randn(4, 30, 6, generator=rng, dtype=torch.float64)
    y = torch.randn(4, 30, generator=rng, dtype=torch.float64)
    y[1::2] = (y[1::2] > 0).double()
    surgery = MGDA() if sharing == "hard" else None
    method = MultiTask(weighting=Equal(), surgery=surgery)
    params = {name: value.double().to(device) for name, value in problem.init(0).items()}
    batch = Batch(x.to(device), y.to(device))
    return method.direction(problem, params, batch, {}, torch.Generator().manual_seed(0)).direction


def timed(device: torch.device, until: float) -> list[dict[str, Any]]:
    """Rows of one outer step, the implementations taking turns as long as there is time."""
    found = []
    for shape in SHAPES:
        steps, source = implementations(shape), episodes_of(shape)
        steps = {name: fn for name, fn in steps.items() if not name.startswith("compiled")}
        episodes = to_device(source.meta_batch_at(0), device)
        params, network = start(shape, torch.float32)
        theta, network = {k: v.to(device) for k, v in params.items()}, network.to(device)
        for precision in ("float32", "tf32") if device.type == "cuda" else ("float32",):
            with products_of(precision, device):
                given = (theta, network, episodes)
                runs = {name: partial(fn, *given) for name, fn in steps.items()}
                times = turns(runs, device, until)
            for name, each in times.items():
                row = {"what": shape.algorithm, "shape": shape.plain(), "implementation": name}
                row |= {"precision": precision, "rounds": len(each)}
                row |= {"seconds": round(statistics.median(each), 6)}
                row |= {"tasks_per_second": round(shape.tasks / row["seconds"], 1)}
                found.append(row)
        said = {row["implementation"]: row["tasks_per_second"] for row in found[-len(times) :]}
        print(name_of_shape(shape), said, flush=True)
    return found


def turns(
    runs: dict[str, Callable[[], Any]], device: torch.device, until: float
) -> dict[str, list[float]]:
    """Seconds of each, after a first call; at least one round, at most 20."""
    for run in runs.values():
        run()
    times: dict[str, list[float]] = {name: [] for name in runs}
    for number in range(20):
        if number and time.monotonic() > until:
            break
        for name, run in runs.items():
            wait(device)
            before = time.perf_counter()
            run()
            wait(device)
            times[name].append(time.perf_counter() - before)
    return times


def wait(device: torch.device) -> None:
    """Until a GPU has done what it was asked for."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


if __name__ == "__main__":
    main()
