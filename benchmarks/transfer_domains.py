"""15 domains of reviews to the 16th: `python benchmarks/transfer_domains.py`, with FDU-MTL fetched.

The source is `mean-logistic` sharing fitted to the training reviews of 15 domains; n-grams are
weighted by these, too. Its penalties are chosen once, on inner folds of the first 15. A new domain
starts at the mean of their logistic regressions and learns from a few of its training reviews;
settings that are not given are picked inside these, as `adapt` does it. Scratch is a logistic
regression on the same reviews and n-grams. Each domain is the 16th once, and its test reviews are
read once. Writes `results/transfer/domains.json`.
"""

from __future__ import annotations

import platform
import time
from typing import Any

import numpy as np
import torch
from scipy import sparse
from torch import nn
from transfer import RESULTS, SCRATCH, accuracy, log, summary, write

from metacli.algorithms import ALGORITHMS
from metacli.data.draws import shuffled
from metacli.data.multi_task.dataset import MultiTaskData
from metacli.data.sources import load_multi_task
from metacli.engine.adapting.transfer import settled
from metacli.engine.storage.paths import cache_root
from metacli.nn.problem import Problem, make_module
from metacli.nn.sharing.linear_logits import Rows, fit
from metacli.nn.sharing.mean_logistic import MeanLogistic
from metacli.schema.load import load
from metacli.types import Batch, Params

SHOTS = (5, 10, 50)
WAYS = ("fine-tune", "l2-sp")
UNADAPTED = "source as it is"
RECIPE = "fdu-mtl-mean"


def main() -> None:
    started = time.time()
    table, _ = load_multi_task("fdu-mtl", {"sublinear": True}, cache_root())
    encoder = table.read.encoder
    counts = encoder.counts([text for texts in table.texts for text in texts])[0]
    ends = np.cumsum([0, *map(len, table.texts)])
    values: dict[int, dict[str, list[float]]] = {shot: {} for shot in SHOTS}
    penalties: tuple[float, float] | None = None
    for new in reversed(range(len(table.tasks))):  # the first 15 choose the penalties
        old = [t for t in range(len(table.tasks)) if t != new]
        learned = {t: range(ends[t], ends[t + 1] - table.test_rows[t]) for t in (*old, new)}
        fitted = encoder.fit_counts([counts[np.concatenate([learned[t] for t in old])]])
        x = [fitted.weigh([counts[ends[t] : ends[t + 1]]]) for t in range(len(table.tasks))]
        rows = as_rows([(x[t][: len(learned[t])], table.y[t][: len(learned[t])]) for t in old])
        if penalties is None:
            penalties = chosen(rows)
        source = mean_head(fit(rows, np.zeros(len(old), int), *penalties))
        for shot in SHOTS:
            support, query = drawn(table, x[new], new, len(learned[new]), shot)
            for name, value in of_domain(support, query, source).items():
                values[shot].setdefault(name, []).append(value)
        told = {shot: {k: round(v[-1], 3) for k, v in values[shot].items()} for shot in SHOTS}
        log(f"{table.tasks[new]} {told}")
    write(
        "domains",
        {
            "what": "FDU-MTL: 15 domains of reviews to the 16th, each of 16 once",
            "source": {"name": "mean-logistic", "domains": 15, "penalties": penalties},
            "machine": platform.machine(),
            "threads": torch.get_num_threads(),
            "seconds": round(time.time() - started),
            "shots": {str(shot): told_of(table, values[shot]) for shot in SHOTS},
        },
    )


def as_rows(domains: list[tuple[Any, np.ndarray]]) -> Rows:
    """Sparse rows [M, F] and labels [M] of every domain."""
    blocks = [sparse.hstack([x, np.ones((x.shape[0], 1))], format="csr") for x, _ in domains]
    whole = sparse.block_diag(blocks, format="csr").astype(np.float64)
    task = np.repeat(np.arange(len(domains)), [len(y) for _, y in domains])
    return Rows(whole, np.concatenate([y for _, y in domains]), task, len(domains))


def chosen(rows: Rows) -> tuple[float, float]:
    options = load(RECIPE).recipe.sharing.options
    scheme = MeanLogistic(slope=tuple(options["slope"]), mean=tuple(options["mean"]))
    penalties = scheme.chosen(rows, torch.Generator().manual_seed(0))[2]
    log(f"penalties {penalties}")
    return penalties


def mean_head(w: np.ndarray) -> Params:
    """The mean logistic regression as a head of two logits whose difference is its own."""
    mean = torch.from_numpy(w.mean(0)).float() / 2
    both = torch.stack([-mean, mean])
    return {"head.weight": both[:, :-1].contiguous(), "head.bias": both[:, -1].contiguous()}


def drawn(table: MultiTaskData, x: Any, new: int, learned: int, shot: int) -> tuple[Batch, Batch]:
    """`shot` training reviews of each label, nested, and all test reviews."""
    y = table.y[new]
    order = np.array(shuffled(learned, "new domain", table.tasks[new]))
    chosen = np.concatenate([order[y[order] == label][:shot] for label in (0, 1)])
    return as_batch(x[chosen], y[chosen]), as_batch(x[learned:], y[learned:])


def as_batch(x: Any, y: np.ndarray) -> Batch:
    return Batch(torch.from_numpy(x.toarray()), torch.from_numpy(y).long())


def of_domain(support: Batch, query: Batch, source: Params) -> dict[str, float]:
    """The accuracy of every way."""
    problem = Problem(
        module=make_module(nn.Identity(), nn.Identity()),
        features=support.x.shape[1],
        kind="classification",
        head=None,
    )
    found = {UNADAPTED: accuracy(problem.read_out(source, query.x), query)}
    ways: dict[str, tuple[str, Params]] = {SCRATCH: ("linear-probe", {})}
    for name, (way, start) in (ways | {name: (name, source) for name in WAYS}).items():
        learner = settled(ALGORITHMS[way].load()(), problem, start, {}, support)
        adapted = learner.adapt(problem, start, support, {})
        found[name] = accuracy(problem.read_out(adapted, query.x), query)
    return found


def told_of(table: MultiTaskData, values: dict[str, list[float]]) -> dict[str, Any]:
    scratch = np.array(values[SCRATCH])
    return {
        "targets": list(reversed(table.tasks)),
        "ways": {name: summary(np.array(v), scratch) for name, v in values.items()},
    }


if __name__ == "__main__":
    RESULTS.mkdir(parents=True, exist_ok=True)
    main()
