"""How long it takes to make the programs of `train.execution=compiled`: `python
benchmarks/compile_times.py` writes results/compile_times.json. Processor time of a first outer
step (with that of the C++ compiler) less that of the next one, nothing in the cache, for the shapes
of `speed.py` in which a program is faster than `torch.vmap`; and what it then saves for each task,
from results/speed.json. Of Reptile, whose tasks are larger than its inner steps, the shipped recipe
is measured in the same way, one step of a meta-batch by a program and by what `auto` is otherwise.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import tempfile
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from run import RESULTS, commit, machine
from speed import FILE as SPEED
from speed import Shape, episodes_of, problem_of, start

from metacli.engine.models.networks import restore_learner
from metacli.engine.training.few_shot.build import build_few_shot
from metacli.engine.training.few_shot.execution import CHUNK
from metacli.engine.training.few_shot.sources import batches_for, make_source
from metacli.nn.problem import Problem
from metacli.schema.load import load

FILE = RESULTS / "compile_times.json"
SHAPES = (Shape("maml", 5, 1, 1, 32), Shape("maml", 5, 1, 5, 32), Shape("fomaml", 5, 1, 5, 32))


REPTILE = "omniglot-5w1s-reptile"


def processor_seconds() -> float:
    """Of this process and of those that it has started and that have ended."""
    own = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(one.ru_utime + one.ru_stime for one in own)


def first_step(shape: Shape) -> float:
    """Processor seconds of the first step of a process, less those of the second."""
    learner, problem = restore_learner(shape.recipe), replace(problem_of(shape, 8), compiled=True)
    params, _ = start(shape, torch.float32)
    episodes, spent = episodes_of(shape).meta_batch_at(0), []
    for _ in range(2):
        before = processor_seconds()
        learner.direction(problem, params, episodes, {}, torch.Generator().manual_seed(0))
        spent.append(processor_seconds() - before)
    return spent[0] - spent[1]


def saved_of(shape: Shape) -> float:
    """Seconds for each task, of two threads, compared with the fastest vmap."""
    rows = [row for row in json.loads(SPEED.read_text())["rows"] if is_of(row, shape)]
    plain = [row["seconds"] for row in rows if row["implementation"].startswith("vmap-")]
    made = [row["seconds"] for row in rows if row["implementation"].startswith("compiled-")]
    return float(min(plain) - min(made)) / shape.tasks


def of_reptile() -> dict[str, Any]:
    """The row of the recipe: one thread, as its header says."""
    torch.set_num_threads(1)
    built = build_few_shot(load(REPTILE, ("train.execution=loop",)))
    source = batches_for(built.learner, make_source(built.recipe, "train"))
    params, episodes = built.problem.init(0), source.meta_batch_at(0)
    own, state = built.learner.init(built.problem, params)
    tasks = built.recipe.train.meta_batch

    def seconds(problem: Problem) -> list[float]:
        spent = []
        for step in range(12):
            before, rng = processor_seconds(), torch.Generator().manual_seed(step)
            built.learner.direction(problem, {**params, **own}, episodes, state, rng)
            spent.append(processor_seconds() - before)
        return spent

    plain, program = (
        seconds(problem)
        for problem in (
            built.problem,
            replace(built.problem, chunk=min(CHUNK, tasks), compiled=True),
        )
    )
    saved = (float(np.median(plain[2:])) - float(np.median(program[2:]))) / tasks
    made = round(program[0] - program[1], 1)
    return {"what": REPTILE, "seconds": made, "saved_for_each_task": round(saved, 5)}


def is_of(row: dict[str, Any], shape: Shape) -> bool:
    return (row["what"], row["shape"]) == (shape.algorithm, shape.plain())


def main() -> None:
    if sys.argv[1:] == [REPTILE]:
        return print(json.dumps(of_reptile()))
    if len(sys.argv) > 1:
        torch.set_num_threads(2)
        return print(first_step(SHAPES[int(sys.argv[1])]))
    rows = []
    for number, shape in enumerate(SHAPES):
        seconds = float(in_a_process(str(number)))
        row = {"what": shape.algorithm, "shape": shape.plain(), "seconds": round(seconds, 1)}
        rows.append({**row, "saved_for_each_task": round(saved_of(shape), 5)})
        print(rows[-1], flush=True)
    rows.append(json.loads(in_a_process(REPTILE)))
    facts = {"commit": commit(), "machine": machine(), "torch": torch.__version__}
    FILE.write_text(json.dumps({**facts, "rows": rows}, indent=1) + "\n")
    return None


def in_a_process(word: str) -> str:
    """What this file prints last in a process of its own, with nothing in the cache."""
    with tempfile.TemporaryDirectory() as empty:
        found = subprocess.run(
            [sys.executable, __file__, word],
            check=True,
            capture_output=True,
            text=True,
            env={**os.environ, "TORCHINDUCTOR_CACHE_DIR": empty},
        )
    return found.stdout.splitlines()[-1]


if __name__ == "__main__":
    main()
