"""How good the measures of relatedness are: `python benchmarks/relatedness.py`. Writes
`results/tasks/relatedness.json`.

`recovery`: in how many of ten generated families the suggested groups are exactly the true ones,
over signal-to-noise ratios and with half of each group's signs flipped. `gains`: Spearman's rank
correlation of each measure with what training two tasks together really gains each of them, all
pairs, on 1,000 test rows; beside it the cosine of gradients as they are without fitted heads.
"""

from __future__ import annotations

import json
import platform
import subprocess
import sys
import time
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import torch

from metacli.algorithms.multitask.relatedness import cosine
from metacli.data.catalogue.task_families import FamilyOptions, families
from metacli.data.multi_task.dataset import MultiTaskRows
from metacli.data.multi_task.splits import divide_rows
from metacli.engine.scoring.multi_task_params import with_statistics
from metacli.engine.training.multi_task.relatedness import (
    MEASURES,
    TRUNKS,
    UNITS,
    measured,
    suggested,
)
from metacli.nn.multi_task import TaskProblem
from metacli.nn.sharing.hard import Hard

TARGET = Path(__file__).resolve().parent / "results" / "tasks" / "relatedness.json"
SEEDS = 10
GAIN_SEEDS = 3
SETTINGS = [(12, 0), (6, 0), (6, 2), (3, 0), (0, 0), (0, 2)]  # (decibels, flipped of four)
UNTIL, EVERY, HIDDEN = 200, 10, 32
TRAIN, VAL = 72, 18  # as the set divides 120 rows


def truth(groups: np.ndarray) -> list[list[int]]:
    related = [np.flatnonzero(groups == group).tolist() for group in sorted(set(groups) - {-1})]
    return sorted([*related, *([int(task)] for task in np.flatnonzero(groups < 0))])


def recovery(snr: int, flipped: int) -> dict[str, Any]:
    found: dict[str, int] = dict.fromkeys(MEASURES, 0)
    for seed in range(SEEDS):
        table = families(FamilyOptions(seed=seed, snr=snr, flipped=flipped), Path())
        rows = MultiTaskRows(table, divide_rows(table, 0))
        for name in MEASURES:
            groups = suggested(measured(name, rows, 0).numpy())
            found[name] += groups == truth(np.array(table.groups))
    return {"snr": snr, "flipped": flipped, "exact": found, "seeds": SEEDS}


def small_rows(snr: int, flipped: int, seed: int) -> MultiTaskRows:
    """As few training rows as the set has, and many test rows."""
    size = TRAIN + VAL + 1000
    table = families(FamilyOptions(seed=seed, snr=snr, flipped=flipped, size=size), Path())
    cuts = {"train": (0, TRAIN), "val": (TRAIN, TRAIN + VAL), "test": (TRAIN + VAL, size)}
    parts = {name: (np.arange(*cut),) * len(table.tasks) for name, cut in cuts.items()}
    return MultiTaskRows(table, parts)


def gains(snr: int, flipped: int) -> dict[str, Any]:
    """Rank correlations over all ordered pairs, the mean over families."""
    every: dict[str, list[float]] = {}
    for seed in range(GAIN_SEEDS):
        rows = small_rows(snr, flipped, seed)
        real = pair_gains(rows)
        matrices = {name: measured(name, rows, 0).numpy() for name in MEASURES}
        matrices["raw cosine, untrained heads"] = raw_cosine(rows)
        off = ~np.eye(len(real), dtype=bool)
        for name, matrix in matrices.items():
            every.setdefault(name, []).append(rank_correlation(matrix[off], real[off]))
        same = np.array(rows.table.groups)
        related = (same[:, None] == same) & (same >= 0)[:, None] & off
        every.setdefault("gain of relatives", []).append(float(real[related].mean()))
        every.setdefault("gain of others", []).append(float(real[~related & off].mean()))
    means = {name: float(np.mean(values)) for name, values in every.items()}
    return {"snr": snr, "flipped": flipped, "families": GAIN_SEEDS, "mean": means, "each": every}


def rank_correlation(a: np.ndarray, b: np.ndarray) -> float:
    from scipy.stats import spearmanr

    return float(spearmanr(a, b).statistic)


def raw_cosine(rows: MultiTaskRows) -> np.ndarray:
    tasks = len(rows.table.tasks)
    problem = TaskProblem(Hard(), (rows.table.num_columns, UNITS), (False,) * tasks, "nmse")
    batch = rows.batch("train")
    found = [
        cosine(problem, with_statistics(problem, rows, seed, "train"), batch)
        for seed in range(TRUNKS)
    ]
    return torch.stack(found).mean(0).numpy()


def pair_gains(rows: MultiTaskRows) -> np.ndarray:
    """[i, j]: by how much the test error of j falls, relative to training separately, when i and j
    share a trunk; each at the step that its own validation picks. All pairs are trained at once,
    and every task alone as a pair with itself."""
    tasks = len(rows.table.tasks)
    pairs = [*combinations(range(tasks), 2), *((task, task) for task in range(tasks))]
    standard = rows.standard("train")
    members = torch.tensor(pairs)  # [P, 2]
    data = {}
    for split in ("train", "val", "test"):
        x, y = rows.numbers(split)
        scaled = (np.stack(x) - standard.x_mean) / standard.x_scale
        targets = (np.stack(y) - standard.y_mean[:, None]) / standard.y_scale[:, None]
        data[split] = torch.tensor(scaled).float(), torch.tensor(targets).float()
    rng = torch.Generator().manual_seed(0)
    columns = rows.table.num_columns

    def drawn(fan_in: int, *shape: int) -> torch.Tensor:
        return (2 * torch.rand(*shape, generator=rng) - 1) * fan_in**-0.5

    count = len(pairs)
    theta = [
        drawn(columns, columns, HIDDEN).expand(count, -1, -1).clone(),
        drawn(columns, HIDDEN).expand(count, -1).clone(),
        drawn(HIDDEN, HIDDEN).expand(count, 2, -1).clone(),
        torch.zeros(count, 2),
    ]
    theta = [value.requires_grad_() for value in theta]

    def errors(split: str, chosen: slice = slice(None)) -> torch.Tensor:
        x, y = data[split]
        weight, bias, head, offset = (value[chosen] for value in theta)
        own = members[chosen]
        hidden = torch.relu(x[own] @ weight[:, None] + bias[:, None, None])  # [P, 2, M, F]
        out = (hidden @ head[..., None]).squeeze(-1) + offset[..., None]
        return (out - y[own]).square().mean(-1)

    optimizer = torch.optim.Adam(theta, lr=0.01)
    best, test = torch.full((count, 2), torch.inf), torch.zeros(count, 2)
    for step in range(1, UNTIL + 1):
        optimizer.zero_grad()
        errors("train").sum().backward()
        optimizer.step()
        if step % EVERY == 0:
            with torch.no_grad():
                val, now = errors("val"), errors("test")
            better = val < best
            best, test = torch.where(better, val, best), torch.where(better, now, test)
    alone = torch.stack([test[at].mean() for at, (i, j) in enumerate(pairs) if i == j])
    found = np.zeros((tasks, tasks))
    for at, (i, j) in enumerate(pairs):
        if i != j:
            found[j, i] = float((alone[i] - test[at, 0]) / alone[i])
            found[i, j] = float((alone[j] - test[at, 1]) / alone[j])
    return found


def main() -> None:
    started = time.monotonic()
    torch.set_num_threads(1)
    head = ["git", "rev-parse", "HEAD"]
    commit = subprocess.run(head, cwd=TARGET.parents[2], capture_output=True, text=True, check=True)
    document: dict[str, Any] = {
        "what": "relatedness",
        "commit": commit.stdout.strip(),
        "machine": platform.machine(),
        "threads": 1,
        "recovery": [],
        "gains": [],
    }
    for kind, of in (("recovery", recovery), ("gains", gains)):
        for snr, flipped in SETTINGS:
            document[kind].append(of(snr, flipped))
            sys.stderr.write(json.dumps(document[kind][-1]) + "\n")
            document["hours"] = (time.monotonic() - started) / 3600
            TARGET.write_text(json.dumps(document, indent=1) + "\n")


if __name__ == "__main__":
    main()
