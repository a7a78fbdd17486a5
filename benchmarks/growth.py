"""How cost grows: `python benchmarks/growth.py` writes results/growth.json and the table of
docs/results/speed.md; `--table` writes only the table; `--only classes` measures some again.

Processor time and memory of one thing at growing sizes, everything else fixed: adapting to a table
(rows, classes, tasks), a step of joint training (tasks), a step of MAML (inner steps, width of
Conv4). `exponent` is log(time ratio) / log(size ratio) to the size before: 1 is in proportion, 2
quadratic; a constant part makes it smaller. A dimension ends where one size takes longer than
`--most` seconds of processor time, which the table says.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import result_pages
import torch
from run import RESULTS, commit, machine
from speed import INPUTS, Shape, episodes_of, peak_mb

from metacli.algorithms.multitask.method import MultiTask
from metacli.algorithms.multitask.weighting.equal import Equal
from metacli.engine.adapt import adapt
from metacli.engine.models.networks import make_problem, restore_learner
from metacli.engine.training.memory import keep_freed_memory
from metacli.nn.multi_task import TaskProblem
from metacli.nn.sharing.hard import Hard
from metacli.schema.few_shot import FewShotRecipe
from metacli.types import Batch

FILE = RESULTS / "growth.json"
PAGE = result_pages.SPEED
BEGIN, END = "<!-- growth: made by benchmarks/growth.py -->", "<!-- end of growth -->"
COLUMNS = 4
Run = Callable[[], Any]


@contextmanager
def table_of(rows: int, classes: int, tasks: int = 1) -> Iterator[Path]:
    """A table, or a folder of them, whose classes differ in the first column."""
    rng = np.random.default_rng(0)
    with tempfile.TemporaryDirectory(prefix="metacli-growth-") as name:
        folder, before = Path(name), Path.cwd()
        for task in range(tasks):
            y = np.arange(rows) % classes
            x = rng.normal(size=(rows, COLUMNS))
            x[:, 0] += y
            lines = (
                f"{','.join(f'{v:.4f}' for v in one)},k{k}" for one, k in zip(x, y, strict=True)
            )
            path = folder / ("table.csv" if tasks == 1 else f"tasks/t{task:05}.csv")
            path.parent.mkdir(exist_ok=True)
            path.write_text("\n".join(["a,b,c,d,label", *lines]) + "\n")
        os.chdir(folder)
        try:
            yield folder / ("table.csv" if tasks == 1 else "tasks")
        finally:
            os.chdir(before)


@contextmanager
def adapting(rows: int, classes: int, tasks: int = 1) -> Iterator[Run]:
    with table_of(rows, classes, tasks) as path:
        options: dict[str, Any] = {"target": "label", "type": "classification", "device": "cpu"}
        yield lambda: adapt("columns", path, out="made", force=True, compare=False, **options)


@contextmanager
def joint_step(tasks: int) -> Iterator[Run]:
    """A step of hard sharing on 25 rows of each task."""
    rng = torch.Generator().manual_seed(0)
    problem, method = TaskProblem(Hard(), (10, 32), (False,) * tasks), MultiTask(weighting=Equal())
    batch = Batch(torch.randn(tasks, 25, 10, generator=rng), torch.randn(tasks, 25, generator=rng))
    params = problem.init(0)
    yield lambda: method.direction(problem, params, batch, {}, torch.Generator().manual_seed(0))


@contextmanager
def maml_step(steps: int = 1, width: int = 32) -> Iterator[Run]:
    """A step of MAML on 4 tasks, 5-way 1-shot, 1 query."""
    recipe = FewShotRecipe.model_validate(
        {
            "kind": "meta",
            "data": {"source": "glyphs"},
            "episodes": {"way": 5, "shot": 1, "query": 1},
            "backbone": {"name": "conv4", "width": width, "norm": "batch"},
            "algorithm": {"name": "maml", "inner_steps": steps, "inner_lr": 0.1},
            "train": {"steps": 1, "meta_batch": 4},
        }
    )
    learner = restore_learner(recipe)
    problem = replace(make_problem(recipe, learner, INPUTS, 5), chunk=4)
    episodes, params = episodes_of(Shape("maml", 5, 1, 1, 4)).meta_batch_at(0), problem.init(0)
    yield lambda: learner.direction(problem, params, episodes, {}, torch.Generator().manual_seed(0))


Sized = Callable[[int], Any]
DIMENSIONS: dict[str, tuple[str, Sized, tuple[int, ...]]] = {
    "rows": (
        "adapt to a table, 2 classes",
        lambda n: adapting(n, 2),
        (10, 100, 1_000, 10_000, 100_000),
    ),
    "classes": (
        "adapt to a table, 1 row of each class",
        lambda n: adapting(n, n),
        (2, 10, 100, 1_000, 5_000),
    ),
    "tasks": (
        "adapt to tables of 25 rows",
        lambda n: adapting(25, 5, n),
        (10, 100, 1_000, 10_000),
    ),
    "joint tasks": ("step of joint training, 25 rows a task", joint_step, (10, 100, 1_000, 10_000)),
    "inner steps": ("step of MAML", maml_step, (1, 2, 4, 8, 16)),
    "width": ("step of MAML", partial(maml_step, 1), (16, 32, 64, 128)),
}


def measured(name: str, most: float) -> Iterator[dict[str, Any]]:
    """Rows of one dimension, from small to large."""
    what, sized, sizes = DIMENSIONS[name]
    rows: list[dict[str, Any]] = []
    for size in sizes:
        with sized(size) as run:
            if size == sizes[0]:
                run()  # what is made or imported once
            spent: list[float] = []

            def once(run: Run = run, spent: list[float] = spent) -> None:
                before = time.process_time()
                run()
                spent.append(time.process_time() - before)

            peak = peak_mb(once)
            while sum(spent) < 0.2:
                once()
        row = {"dimension": name, "what": what, "size": size, "seconds": round(min(spent), 5)}
        row["peak_mb"] = round(peak, 1)
        if rows:
            ratio = row["seconds"] / rows[-1]["seconds"]
            row["exponent"] = round(math.log(ratio) / math.log(size / rows[-1]["size"]), 2)
        rows.append(row)
        print(name, size, row["seconds"], row["peak_mb"], row.get("exponent", ""), flush=True)
        yield row
        if spent[0] > most:
            return


def table() -> str:
    """Of every dimension the sizes, their times and how they grow."""
    rows = json.loads(FILE.read_text())["rows"]
    lines = ["| what | grows with | " + "sizes, processor time (memory) | last exponent |"]
    lines.append("| --- | --- | --- | --- |")
    for name, (what, _, sizes) in DIMENSIONS.items():
        own = [row for row in rows if row["dimension"] == name]
        if not own:
            continue
        cells = [
            f"{row['size']:,}: {row['seconds']:.3g} s ({row['peak_mb']:.0f} MB)" for row in own
        ]
        if len(own) < len(sizes):
            cells.append(f"{sizes[len(own)]:,}: not measured")
        last = own[-1].get("exponent", "")
        lines.append(f"| {what} | {name} | {'; '.join(cells)} | {last} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--table", action="store_true", help="only write the table")
    parser.add_argument("--only", nargs="+", choices=list(DIMENSIONS))
    parser.add_argument("--most", type=float, default=20.0, help="seconds of one size")
    given = parser.parse_args()
    if not given.table:
        torch.set_num_threads(1)
        keep_freed_memory()  # as in training
        wanted = given.only or list(DIMENSIONS)
        old = json.loads(FILE.read_text())["rows"] if FILE.exists() else []
        rows = [row for row in old if row["dimension"] not in wanted]
        facts = {"commit": commit(), "machine": machine(), "threads": 1}
        for name in wanted:
            for row in measured(name, given.most):  # kept whatever comes
                rows.append({**row, **facts})
                FILE.write_text(json.dumps({"rows": rows}, indent=1) + "\n")
    result_pages.replace(PAGE, BEGIN, END, table())


if __name__ == "__main__":
    main()
