"""How fast steps of multi-task training and adapting many tasks are beside what others do:
`python benchmarks/speed_tasks.py` writes results/speed_tasks.json. Processor time, one thread.

Each peer is used as its authors do: a loop over tasks with a head each and one backward pass of the
sum, as LibMTL's trainer has it (it is no dependency: its loop is written out); TorchJD's
`mtl_backward` for what combines gradients; scikit-learn's logistic regression in a loop over tasks.
First all results are compared in float64, then the implementations take turns, and the median of
the rounds counts. `peak_mb` is what the process grew by at most.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from run import RESULTS, commit, machine
from speed import installed, peak_mb
from torch import Tensor, nn
from torch.nn import functional as F

from metacli.algorithms.multitask.method import MultiTask
from metacli.algorithms.multitask.surgery.aligned import AlignedMTL
from metacli.algorithms.multitask.weighting.fixed import Fixed
from metacli.engine.training.memory import keep_freed_memory
from metacli.nn.multi_task import TaskProblem
from metacli.nn.sharing.hard import Hard
from metacli.nn.solvers.logistic import fit_logistic
from metacli.types import Batch, Params

FILE = RESULTS / "speed_tasks.json"
WEIGHT, BIAS = "trunk.0.weight", "trunk.0.bias"  # of the trunk's only layer
Directions = dict[str, Tensor]


@dataclass(frozen=True)
class Shape:
    """Regressions of one size with a common trunk: tasks, rows of each, columns, hidden units."""

    tasks: int
    rows: int
    columns: int
    hidden: int
    surgery: bool

    def plain(self) -> dict[str, Any]:
        return dict(vars(self))


SHAPES = (
    Shape(139, 100, 27, 64, False),
    Shape(139, 10, 27, 64, False),
    Shape(7, 1000, 21, 64, False),
    Shape(7, 1000, 21, 64, True),
)


def data_of(shape: Shape, dtype: torch.dtype) -> Batch:
    rng = torch.Generator().manual_seed(0)
    x = torch.randn(shape.tasks, shape.rows, shape.columns, generator=rng, dtype=dtype)
    return Batch(x, torch.randn(shape.tasks, shape.rows, generator=rng, dtype=dtype))


def problem_of(shape: Shape) -> TaskProblem:
    return TaskProblem(Hard(), (shape.columns, shape.hidden), (False,) * shape.tasks)


def ours(shape: Shape) -> Callable[[Params, Batch], Directions]:
    weights = Fixed(weights=(float(shape.tasks),) * shape.tasks)  # the sum of the losses
    method = MultiTask(weighting=weights, surgery=AlignedMTL() if shape.surgery else None)
    problem = problem_of(shape)

    def step(params: Params, batch: Batch) -> Directions:
        rng = torch.Generator().manual_seed(0)
        return method.direction(problem, params, batch, {}, rng).direction

    return step


class Trunk(nn.Module):
    """The same network as torch modules: a trunk, and a head of one output for each task."""

    def __init__(self, shape: Shape, params: Params) -> None:
        super().__init__()
        self.first = nn.Linear(shape.columns, shape.hidden)
        self.heads = nn.ModuleList(nn.Linear(shape.hidden, 1) for _ in range(shape.tasks))
        with torch.no_grad():
            self.to(params[WEIGHT].dtype)
            self.first.weight.copy_(params[WEIGHT].T)
            self.first.bias.copy_(params[BIAS])
            for t, head in enumerate(self.heads):
                head.weight.copy_(params["heads.weight"][t][None])
                head.bias.copy_(params["heads.bias"][t][None])

    def gradients(self) -> Directions:
        """By our names."""
        return {
            WEIGHT: self.first.weight.grad.T,
            BIAS: self.first.bias.grad,
            "heads.weight": torch.cat([head.weight.grad for head in self.heads]),
            "heads.bias": torch.cat([head.bias.grad for head in self.heads]),
        }


def loop_over_tasks(network: Trunk, batch: Batch) -> None:
    """Each task's loss after the other, and one backward pass of the sum."""
    network.zero_grad()
    losses = [
        F.mse_loss(head(torch.relu(network.first(x)))[:, 0], y)
        for head, x, y in zip(network.heads, batch.x, batch.y, strict=True)
    ]
    torch.stack(losses).sum().backward()


def with_torchjd(network: Trunk, batch: Batch) -> None:
    """`mtl_backward` of all rows' features, and Aligned-MTL of the tasks' gradients."""
    from torchjd.aggregation import AlignedMTL as Aligned
    from torchjd.autojac import jac_to_grad, mtl_backward

    network.zero_grad()
    features = torch.relu(network.first(batch.x))
    losses = [
        F.mse_loss(head(f)[:, 0], y)
        for head, f, y in zip(network.heads, features, batch.y, strict=True)
    ]
    mtl_backward(losses, features=features)
    jac_to_grad(network.first.parameters(), Aligned())


def measure(shape: Shape, rounds: int) -> list[dict[str, Any]]:
    """The rows of one shape: compared in float64, then timed in turns."""
    peers: dict[str, Callable[[Trunk, Batch], None]] = {}
    if shape.surgery and installed("torchjd"):
        peers["torchjd"] = with_torchjd
    if not shape.surgery:
        peers["loop-over-tasks"] = loop_over_tasks
    problem, step = problem_of(shape), ours(shape)
    params = {name: value.double() for name, value in problem.init(0).items()}
    batch = data_of(shape, torch.float64)
    wanted, errors = step(params, batch), {"metacli": 0.0}
    for name, fn in peers.items():
        network = Trunk(shape, params)
        fn(network, batch)
        found = network.gradients()
        errors[name] = max(float((found[n] - wanted[n]).abs().max()) for n in found)
        if not errors[name] < 1e-7:
            raise SystemExit(f"{shape}: {name} differs by {errors[name]:.1e}")
    single, small = problem.init(0), data_of(shape, torch.float32)
    runs: dict[str, Callable[[], Any]] = {"metacli": lambda: step(single, small)}
    for name, fn in peers.items():
        runs[name] = partial(fn, Trunk(shape, single), small)
    return timed("multi-task step", shape.plain(), runs, errors, rounds)


TASKS, ROWS, COLUMNS, WAY = 100, 25, 64, 5


def measure_adapting(rounds: int) -> list[dict[str, Any]]:
    """Logistic regression of 100 tasks of 25 rows, in a loop, by our solver and scikit-learn's."""
    rng = np.random.default_rng(0)
    y = np.repeat(np.arange(WAY), ROWS // WAY)
    x = rng.normal(size=(TASKS, ROWS, COLUMNS)) + 0.5 * rng.normal(size=(TASKS, WAY, COLUMNS))[:, y]
    labels, data = torch.from_numpy(y), torch.from_numpy(x)

    def mine() -> list[Tensor]:
        return [
            torch.cat([w, b[:, None]], 1) for w, b in (fit_logistic(v, labels, WAY) for v in data)
        ]

    def theirs() -> list[Tensor]:
        from sklearn.linear_model import LogisticRegression

        fits = [LogisticRegression(C=1.0, max_iter=1000, tol=1e-8).fit(one, y) for one in x]
        return [torch.from_numpy(np.c_[fit.coef_, fit.intercept_]) for fit in fits]

    error = 0.0
    for a, b, v in zip(mine(), theirs(), data, strict=True):
        p, q = (torch.softmax(v @ one[:, :-1].T + one[:, -1], 1) for one in (a, b))
        error = max(error, float((p - q).abs().max()))
    if not error < 1e-4:
        raise SystemExit(f"probabilities differ by {error:.1e}")
    runs: dict[str, Callable[[], Any]] = {"metacli": mine, "scikit-learn": theirs}
    shape = {"tasks": TASKS, "rows": ROWS, "columns": COLUMNS, "way": WAY}
    return timed("logistic regression", shape, runs, dict.fromkeys(runs, error), rounds)


def timed(
    what: str,
    shape: dict[str, Any],
    runs: dict[str, Callable[[], Any]],
    errors: dict[str, float],
    rounds: int,
) -> list[dict[str, Any]]:
    """Median processor time of each, the runs taking turns."""
    peaks = {name: peak_mb(run) for name, run in runs.items()}  # a first call, too
    times: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(rounds):
        for name, run in runs.items():
            before = time.process_time()
            run()
            times[name].append(time.process_time() - before)
    return [
        {
            "what": what,
            "shape": shape,
            "implementation": name,
            "seconds": round(statistics.median(each), 6),
            "peak_mb": round(peaks[name], 1),
            "error": errors[name],
            "rounds": rounds,
        }
        for name, each in times.items()
    ]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=7)
    given = parser.parse_args()
    torch.set_num_threads(1)
    keep_freed_memory()  # as in training; for all implementations
    rows = [row for shape in SHAPES for row in measure(shape, given.rounds)]
    rows += measure_adapting(given.rounds)
    facts = {"commit": commit(), "machine": machine(), "threads": 1}
    FILE.write_text(json.dumps({**facts, "rows": rows}, indent=1) + "\n")
    for row in rows:
        print(row["what"], row["shape"], row["implementation"], row["seconds"], row["error"])


if __name__ == "__main__":
    main()
