"""130 schools to 9 new ones, 10 pupils each: `python benchmarks/transfer_school.py`, with School
fetched.

The source is `mean-ridge` sharing fitted to 130 schools (its penalties are chosen on folds of their
pupils); a new school starts at the mean of its networks, a linear function and its intercept. Three
draws of the 9 schools are 27 target tasks. Settings that are not given are picked inside the 10
pupils, as `adapt` does it. Writes `results/transfer/school.json`: squared error on the other pupils
in units of the variance of the 130 schools' scores, and the paired difference to scratch.
"""

from __future__ import annotations

import platform
import time
from typing import Any

import numpy as np
import torch
from torch import nn
from transfer import RESULTS, SCRATCH, log, write

from metacli.algorithms import ALGORITHMS
from metacli.data.draws import shuffled
from metacli.data.sources import load_multi_task
from metacli.engine.adapting.transfer import settled
from metacli.engine.scoring.intervals import paired
from metacli.engine.storage.paths import cache_root
from metacli.nn.problem import Problem, make_module
from metacli.nn.sharing.mean_ridge import MeanRidge
from metacli.types import Batch, Params

NEW, PUPILS, DRAWS = 9, 10, 3
WAYS = ("fine-tune", "l2-sp")
UNADAPTED = "source as it is"


def main() -> None:
    started = time.time()
    table, _ = load_multi_task("school", {}, cache_root())
    errors: dict[str, list[float]] = {name: [] for name in (SCRATCH, UNADAPTED, *WAYS)}
    for draw in range(DRAWS):
        order = np.array(shuffled(len(table.x), "new schools", draw))
        new, old = order[:NEW], order[NEW:]
        scale = standard([table.x[t] for t in old], [table.y[t] for t in old])
        source = fitted([scaled(table, t, scale) for t in old])
        for t in new:
            for name, value in of_school(scaled(table, t, scale), source, int(t)).items():
                errors[name].append(value)
        log(f"school {draw} " + " ".join(f"{n} {np.mean(v):.3f}" for n, v in errors.items()))
    write(
        "school",
        {
            "what": f"School: {len(table.x) - NEW} schools to {NEW} new ones, {PUPILS} pupils each",
            "metric": "squared error on the other pupils / variance of the source's scores",
            "source": {"name": "mean-ridge", "sharing": "mean-ridge", "schools": len(old)},
            "machine": platform.machine(),
            "threads": torch.get_num_threads(),
            "seconds": round(time.time() - started),
            "draws": DRAWS,
            "errors": {name: summary(np.array(v), errors) for name, v in errors.items()},
        },
    )


def standard(x: list[np.ndarray], y: list[np.ndarray]) -> tuple[np.ndarray, ...]:
    """Statistics of the source's pupils: (mean of x, scale of x, mean of y, scale of y)."""
    rows, values = np.concatenate(x), np.concatenate(y)
    spread = rows.std(0)
    return rows.mean(0), np.where(spread > 0, spread, 1.0), values.mean(), values.std()


def scaled(table: Any, school: int, scale: tuple[np.ndarray, ...]) -> Batch:
    mean, spread, middle, size = scale
    x = torch.from_numpy((table.x[school] - mean) / spread)
    return Batch(x, torch.from_numpy((table.y[school] - middle) / size)[:, None])


def fitted(schools: list[Batch]) -> Params:
    """The mean of the schools' linear functions."""
    most = max(len(one.y) for one in schools)
    x = torch.zeros(len(schools), most, schools[0].x.shape[1], dtype=torch.float64)
    y, mask = torch.zeros(x.shape[:2], dtype=torch.float64), torch.zeros(x.shape[:2])
    for t, one in enumerate(schools):
        n = len(one.y)
        x[t, :n], y[t, :n], mask[t, :n] = one.x, one.y[:, 0], 1
    params, _ = MeanRidge().solve(Batch(x, y, mask.bool()), torch.Generator().manual_seed(0))
    weight, bias = params["heads.weight"].mean(0, keepdim=True), params["heads.bias"].mean()
    return {"head.weight": weight, "head.bias": bias.reshape(1)}


def of_school(school: Batch, source: Params, number: int) -> dict[str, float]:
    """The error of every way on one new school."""
    order = shuffled(len(school.y), "pupils", number)
    support = Batch(school.x[order[:PUPILS]], school.y[order[:PUPILS]])
    query = Batch(school.x[order[PUPILS:]], school.y[order[PUPILS:]])
    problem = Problem(
        module=make_module(nn.Identity(), nn.Identity()),
        features=school.x.shape[1],
        kind="regression",
        head=None,
    )

    def error(params: Params) -> float:
        return float((problem.read_out(params, query.x) - query.y).square().mean())

    found = {UNADAPTED: error(source)}
    ways = {SCRATCH: ("linear-probe", {}), **{name: (name, source) for name in WAYS}}
    for name, (way, start) in ways.items():
        learner = settled(ALGORITHMS[way].load()(), problem, start, {}, support)
        found[name] = error(learner.adapt(problem, start, support, {}))
    return found


def summary(values: np.ndarray, errors: dict[str, list[float]]) -> dict[str, Any]:
    mean, low, high = paired(values)
    delta, *interval = paired(values - np.array(errors[SCRATCH]))
    facts = {"mean": mean, "ci95": (high - low) / 2, "n": len(values)}
    return {**facts, "delta": delta, "delta_ci95": interval}


if __name__ == "__main__":
    RESULTS.mkdir(parents=True, exist_ok=True)
    main()
