"""How fast an outer step is: `python benchmarks/speed.py` writes results/speed.json and the
the documentation's table; `--table` writes only the table.

Every shape is measured in one run: the executions of metacli, an eager loop over tasks in plain
torch, and peers where they are installed (`pip install '.[bench]'`), on the same network, episodes
and arithmetic. First every gradient is compared with the eager loop's in float64. Then the
implementations take turns, round by round, and the median of the rounds counts. `matmul_share` is
the step's floating-point operations (counted in the eager loop) a second, as a share of what a
large matrix product reaches in the same rounds. `peak_mb` is what the process grew by at most.
"""

from __future__ import annotations

import argparse
import ctypes
import importlib.util
import json
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import result_pages
import torch
from run import RESULTS, commit, machine
from speed_peers import EAGER, INNER_LR, PEERS, Network, name_of, vmapped
from torch.utils.flop_counter import FlopCounterMode

from metacli.data.few_shot.episodes import ClassEpisodes
from metacli.data.sources import load_pool
from metacli.engine.models.inputs import InputSpec
from metacli.engine.models.networks import make_problem, restore_learner
from metacli.engine.storage.paths import cache_root
from metacli.engine.training.few_shot.execution import resolve_execution
from metacli.engine.training.memory import keep_freed_memory
from metacli.nn.problem import Problem
from metacli.schema.few_shot import FewShotRecipe
from metacli.types import Episode, Params

FILE = RESULTS / "speed.json"
PAGE = result_pages.SPEED
BEGIN, END = "<!-- speed: made by benchmarks/speed.py -->", "<!-- end of speed -->"
INPUTS = InputSpec("image", (1, 28, 28), invert=True)
MATMUL = 1024
VMAP = "peer-vmap"
RIVALS = (VMAP, "higher", "torchopt", "torchopt-vmap")


@dataclass(frozen=True)
class Shape:
    """A learner and what its meta-batch looks like; one shot."""

    algorithm: str
    way: int
    query: int
    steps: int
    tasks: int

    @property
    def recipe(self) -> FewShotRecipe:
        fields: dict[str, Any] = {"name": self.algorithm}
        if self.algorithm != "protonet":
            fields |= {"inner_lr": INNER_LR, "inner_steps": self.steps}
        if self.algorithm == "fomaml":
            fields["first_order"] = True
        if self.algorithm == "anil":
            fields["adapts"] = ["head."]
        if self.algorithm == "reptile":
            fields |= {"inner_optimizer": "sgd", "inner_batch": 10_000}
        return FewShotRecipe.model_validate(
            {
                "kind": "meta",
                "data": {"source": "glyphs"},
                "episodes": {"way": self.way, "shot": 1, "query": self.query},
                "backbone": {
                    "name": "conv4",
                    "width": 64,
                    "norm": "batch",
                    "downsample": "stride",
                },
                "algorithm": fields,
                "train": {"steps": 1, "meta_batch": self.tasks},
            }
        )

    def plain(self) -> dict[str, Any]:
        return {"way": self.way, "shot": 1, "query": self.query} | {
            "inner_steps": self.steps,
            "meta_batch": self.tasks,
        }


COMPILED = (  # not all, for the time it takes to compile
    *(Shape(name, 5, 1, 1, 32) for name in ("maml", "fomaml", "anil")),
    *(Shape("maml", 5, 1, 5, 32), Shape("maml", 5, 15, 1, 8), Shape("maml", 20, 1, 1, 8)),
    *(Shape("fomaml", 5, 1, 5, 32), Shape("anil", 5, 1, 5, 32), Shape("maml", 5, 15, 5, 8)),
    *(Shape("protonet", *of) for of in ((5, 1, 0, 32), (5, 15, 0, 8), (20, 1, 0, 8))),
)


def shapes() -> list[Shape]:
    """Fewer tasks where each is large, so that a step stays within seconds."""
    tasks = {(5, 1): 32, (5, 15): 8, (20, 1): 8, (20, 15): 4}
    found = []
    for (way, query), count in tasks.items():
        for name in EAGER:
            all_steps = (1, 5) if name != "protonet" else (0,)
            found += [Shape(name, way, query, steps, count) for steps in all_steps]
    return found


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--table", action="store_true", help="only write the table")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument(
        "--only", nargs="+", help="measure again the shapes whose name contains one of these"
    )
    given = parser.parse_args()
    if given.table:
        refresh()
        return write_table()
    torch.set_num_threads(given.threads)
    keep_freed_memory()  # as in training; for all implementations
    rows = []
    for shape in shapes():
        if not given.only or any(part in name_of_shape(shape) for part in given.only):
            rows += measure(shape, given.rounds)
    peers = {p: version(p) for p in ("higher", "torchopt") if installed(p)}
    facts = {"commit": commit(), "machine": machine(), "threads": given.threads}
    rows = [*kept(rows), *({**row, **facts} for row in rows)]
    result = {
        "versions": {"torch": torch.__version__, **peers},
        "network": "conv4, width 64, stride 2, batch statistics, 28 x 28, float32",
        "rows": sorted(rows, key=place),
    }
    FILE.write_text(json.dumps(result, indent=1) + "\n")
    return write_table()


def place(row: dict[str, Any]) -> int:
    """Where a row's shape is in `shapes`."""
    return [(s.algorithm, s.plain()) for s in shapes()].index((row["what"], row["shape"]))


def kept(measured: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Rows of the file whose shapes were not measured now; each row says where it was."""
    old = json.loads(FILE.read_text())["rows"] if FILE.exists() else []
    new = {place(row) for row in measured}
    return [row for row in old if place(row) not in new]


def refresh() -> None:
    """Which row is `auto`, by the rule of now."""
    result = json.loads(FILE.read_text())
    rules = {place: execution_of(shape) for place, shape in enumerate(shapes())}
    for row in result["rows"]:
        if "auto" in row:
            row["auto"] = row["implementation"] == rules[place(row)]
    FILE.write_text(json.dumps(result, indent=1) + "\n")


def measure(shape: Shape, rounds: int) -> list[dict[str, Any]]:
    """The rows of one shape: checked, then timed in turns."""
    source = episodes_of(shape)
    episodes = source.meta_batch_at(0)
    steps = implementations(shape)
    errors = compared(shape, first_tasks(source.meta_batch_at(1), 2))
    params, network = start(shape, torch.float32)
    with FlopCounterMode(display=False) as counter:
        EAGER[shape.algorithm](network, first_tasks(episodes, 1), shape.steps)
    flops = counter.get_total_flops() * shape.tasks
    runs: dict[str, Callable[[], Any]] = {
        name: lambda step=step: step(params, network, episodes) for name, step in steps.items()
    }
    square = torch.randn(MATMUL, MATMUL)
    runs["matmul"] = lambda: [square @ square for _ in range(8)]
    rule, turn = execution_of(shape), iter(range(1, 10_000))
    runs[rule] = runs.pop(rule)  # last, so that an episode is sampled after a step, as in training
    runs["sampling"] = lambda: source.meta_batch_at(next(turn))
    peaks = {name: peak_mb(run) for name, run in runs.items()}  # a first call, too
    times = in_turns(runs, rounds)
    rate = 8 * 2 * MATMUL**3 / times.pop("matmul")
    found = []
    for name, seconds in times.items():
        row = {"what": shape.algorithm, "shape": shape.plain(), "implementation": name}
        row |= {"rounds": rounds, "seconds": round(seconds, 6), "peak_mb": round(peaks[name], 1)}
        if name == "sampling":
            row["share_of_step"] = round(seconds / times[rule], 4)
        else:
            row |= {"tasks_per_second": round(shape.tasks / seconds, 2), "auto": name == rule}
            row |= {"matmul_share": round(flops / seconds / rate, 4), "error": errors[name]}
        found.append(row)
    said = "  ".join(f"{row['implementation']} {row['seconds']:.4f}" for row in found)
    print(f"{name_of_shape(shape)}: {said}", flush=True)
    return found


def implementations(shape: Shape) -> dict[str, Callable[[Params, Any, Episode], Params]]:
    """(θ, torch network of the same weights, meta-batch) -> direction, by implementation."""
    learner = restore_learner(shape.recipe)

    def ours(chunk: int, compiled: bool = False) -> Callable[[Params, Any, Episode], Params]:
        problem = replace(problem_of(shape, chunk), compiled=compiled)

        def step(params: Params, network: Any, episodes: Episode) -> Params:
            rng = torch.Generator().manual_seed(0)
            found = learner.direction(problem, params, episodes, {}, rng).direction
            return {other: found[n] for n in found if (other := name_of(n)) is not None}

        return step

    def others(fn: Any) -> Callable[[Params, Any, Episode], Params]:
        return lambda params, network, episodes: fn(network, episodes, shape.steps)

    found = {"loop": ours(1), "vmap-4": ours(4)}
    if shape.tasks >= 8:
        found["vmap-8"] = ours(8)
    if shape.tasks >= 32:
        found["vmap-16"] = ours(16)
    if shape in COMPILED:
        found["compiled-8"] = ours(8, compiled=True)
    found["eager"] = others(EAGER[shape.algorithm])
    for name, fn in vmapped(shape.algorithm, shape.tasks).items():
        found[name] = others(fn)
    for name, fn in PEERS.get(shape.algorithm, {}).items():
        if installed(name.removesuffix("-vmap")):
            found[name] = others(fn)
    return found


def problem_of(shape: Shape, chunk: int) -> Problem:
    recipe = shape.recipe
    made = make_problem(recipe, restore_learner(recipe), INPUTS, shape.way)
    return replace(made, chunk=chunk)


def execution_of(shape: Shape) -> str:
    """What `train.execution: auto` means for this shape."""
    execution, chunk = resolve_execution(shape.recipe, restore_learner(shape.recipe), INPUTS)
    return "loop" if execution == "loop" else f"{execution}-{chunk}"


def start(shape: Shape, dtype: torch.dtype) -> tuple[Params, Network]:
    """θ, and a torch network with the same weights."""
    params = problem_of(shape, 1).init(0, dtype)
    network = Network(shape.way).to(dtype)
    target = dict(network.named_parameters())
    with torch.no_grad():
        for ours, value in params.items():
            if (name := name_of(ours)) is not None:
                target[name].copy_(value)
    return params, network


def compared(shape: Shape, episodes: Episode) -> dict[str, float]:
    """The largest difference to the eager loop's direction in float64, by implementation."""
    params, network = start(shape, torch.float64)
    found = {k: step(params, network, episodes) for k, step in implementations(shape).items()}
    wanted, errors = found["eager"], {}
    for name, direction in found.items():
        gaps = [float((direction[k] - v).abs().max()) for k, v in wanted.items()]
        errors[name] = max(gaps)
        if not errors[name] < 1e-10:
            raise SystemExit(f"{name_of_shape(shape)}: {name} differs by {errors[name]:.1e}")
    return errors


def in_turns(runs: dict[str, Callable[[], Any]], rounds: int) -> dict[str, float]:
    """Median seconds, the runs taking turns."""
    times: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(rounds):
        for name, run in runs.items():
            before = time.perf_counter()
            run()
            times[name].append(time.perf_counter() - before)
    return {name: statistics.median(found) for name, found in times.items()}


def peak_mb(run: Callable[[], Any]) -> float:
    """By how much the process grew at most, in MB; Linux only."""
    ctypes.CDLL(None).malloc_trim(0)
    Path("/proc/self/clear_refs").write_text("5")  # the peak starts anew
    before = status_kb("VmRSS")
    run()
    return (status_kb("VmHWM") - before) / 1024


def status_kb(key: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{key}:"))


def episodes_of(shape: Shape) -> ClassEpisodes:
    """Episodes from the memory-mapped store of the built-in glyphs."""
    pool = load_pool("glyphs", "train", {}, cache_root())
    return ClassEpisodes(pool, shape.way, 1, shape.query, meta_batch=shape.tasks)


def first_tasks(episodes: Episode, count: int) -> Episode:
    support, query = (part._replace(x=part.x[:count], y=part.y[:count]) for part in episodes)
    return Episode(support, query)


def installed(package: str) -> bool:
    return importlib.util.find_spec(package) is not None


def name_of_shape(shape: Shape) -> str:
    text = f"{shape.algorithm} {shape.way}w1s {shape.query}q"
    return f"{text} {shape.steps} steps" if shape.steps else text


def table() -> str:
    """Tasks a second of every shape: what `auto` takes, the eager loop and the peers."""
    result = json.loads(FILE.read_text())
    lines = [
        "| learner | task | inner steps | `auto` | tasks/s | of a matrix product | eager loop "
        "| `torch.func.vmap`, best chunk | higher | torchopt | torchopt under vmap | `compiled` "
        "| MB: `auto`, `compiled`, fastest peer |",
        "| " + " | ".join(["---"] * 13) + " |",
    ]
    groups: dict[str, list[dict[str, Any]]] = {}
    for row in result["rows"]:
        groups.setdefault(json.dumps([row["what"], row["shape"]]), []).append(row)
    return "\n".join(lines + [line_of(rows) for rows in groups.values()])


def line_of(rows: list[dict[str, Any]]) -> str:
    by = {row["implementation"]: row for row in rows}
    vmaps = [row for name, row in by.items() if name.startswith(VMAP)]
    if vmaps:
        by[VMAP] = min(vmaps, key=lambda row: row["seconds"])
    best = next(row for row in rows if row.get("auto"))
    shape = best["shape"]
    others = []
    for name in ("eager", *RIVALS):
        ratio = by[name]["seconds"] / best["seconds"] if name in by else None
        others.append(
            "" if ratio is None else f"{by[name]['tasks_per_second']:.0f} ({ratio:.1f} x)"
        )
    others += [compiled_cell(by), memory_cell(best, by)]
    query = "1 query" if shape["query"] == 1 else f"{shape['query']} queries"
    task = f"{shape['way']}-way 1-shot, {query}, {shape['meta_batch']} tasks"
    cells = [best["what"], task, str(shape["inner_steps"] or ""), best["implementation"]]
    cells += [f"**{best['tasks_per_second']:.0f}**", f"{100 * best['matmul_share']:.0f} %", *others]
    return "| " + " | ".join(cells) + " |"


def compiled_cell(by: dict[str, dict[str, Any]]) -> str:
    """Tasks a second of the compiled program, and how many times the best peer that is."""
    if (row := by.get("compiled-8")) is None:
        return ""
    best = fastest_peer(by)["seconds"]
    return f"{row['tasks_per_second']:.0f} ({best / row['seconds']:.1f} x the best peer)"


def fastest_peer(by: dict[str, dict[str, Any]]) -> dict[str, Any]:
    return min((by[one] for one in ("eager", *RIVALS) if one in by), key=lambda row: row["seconds"])


def memory_cell(auto: dict[str, Any], by: dict[str, dict[str, Any]]) -> str:
    """What the process grew by at most."""
    rows = (auto, by.get("compiled-8"), fastest_peer(by))
    return ", ".join("-" if row is None else f"{row['peak_mb']:.0f}" for row in rows)


def write_table() -> None:
    result_pages.replace(PAGE, BEGIN, END, table())


if __name__ == "__main__":
    main()
