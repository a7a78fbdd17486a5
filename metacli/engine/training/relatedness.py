"""Which tasks belong together, measured before training on untrained trunks with fitted heads.

Every measure becomes a matrix in which 1 says that a task is as good as one's own rows and 0 that
it is of no use, averaged over `TRUNKS` random trunks with one hidden layer. It costs a few backward
passes of all tasks together, whatever the run's own network is.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from metacli.algorithms.multitask import relatedness as formulas
from metacli.data.draws import stream
from metacli.data.multi_task.dataset import MultiTaskRows
from metacli.engine.scoring.multi_task_params import with_statistics
from metacli.engine.storage.writer import write_json
from metacli.nn.multi_task import TaskProblem
from metacli.nn.sharing.hard import Hard
from metacli.threads import computing_with
from metacli.types import Batch, Params

FILE = "relatedness.json"
TRUNKS, UNITS = 16, 64
THRESHOLD = 0.4


def measured(name: str, rows: MultiTaskRows, seed: int) -> Tensor:
    """The matrix [T, T] of a measure from the training rows, float64."""
    kinds = tuple(kind == "classification" for kind in rows.table.kinds)
    problem = TaskProblem(Hard(), (rows.table.num_columns, UNITS), kinds, rows.table.metric)
    batch = rows.batch("train")
    sums: list[Tensor] = []
    for number in range(TRUNKS):
        word = stream("relatedness", seed, number).random_raw() % 2**32
        params = with_statistics(problem, rows, word, "train")
        rng = torch.Generator().manual_seed(word)
        with torch.no_grad(), computing_with(1):
            found = MEASURES[name](problem, params, batch, rng)
        sums = (
            [a + b.double() for a, b in zip(sums, found, strict=True)]
            if sums
            else [one.double() for one in found]
        )
    return FINISHED[name](*(total / TRUNKS for total in sums))


def cosines(
    problem: TaskProblem, params: Params, batch: Batch, rng: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Cosines of all rows' gradients [T, T], and of those of the halves [T]."""
    with torch.enable_grad():
        whole = formulas.cosine(problem, formulas.fit_heads(problem, params, batch), batch)
        first, second = (
            formulas.units(problem, formulas.fit_heads(problem, params, half), half)
            for half in formulas.halves(batch, rng)
        )
    return whole, (first * second).sum(1)


def lookaheads(
    problem: TaskProblem, params: Params, batch: Batch, rng: torch.Generator
) -> tuple[Tensor]:
    """Steps on one half of the rows, losses on the other; both ways."""
    one, other = formulas.halves(batch, rng)
    found = []
    for step, scored in ((one, other), (other, one)):
        with torch.enable_grad():
            fitted = formulas.fit_heads(problem, params, step)
            found.append(formulas.lookahead(problem, fitted, step, scored).detach())
    return (torch.stack(found).mean(0),)


def fishers(
    problem: TaskProblem, params: Params, batch: Batch, rng: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Cosines of the embeddings, and of those of the halves."""

    def embedded(rows: Batch) -> Tensor:
        found = formulas.fisher(problem, formulas.fit_heads(problem, params, rows), rows)
        return found / found.norm(dim=1, keepdim=True).clamp(min=1e-12)

    whole = embedded(batch)
    first, second = (embedded(half) for half in formulas.halves(batch, rng))
    return whole @ whole.T, (first * second).sum(1)


def beside_own(z: Tensor) -> Tensor:
    """What a step on task i does for task j, as a share of what a step on j itself does; 0 where
    a task's own step does it no good."""
    own = z.diagonal()
    found = torch.where(own > 0, z / own.clamp(min=1e-12), 0.0).clamp(-2, 2)
    return found.fill_diagonal_(1.0)


def above_the_usual(raw: Tensor, reliability: Tensor) -> Tensor:
    """Embeddings are of one sign, so that unrelated tasks are alike too: 0 is the median pair."""
    off = raw[~torch.eye(len(raw), dtype=torch.bool)]
    usual = off.median() if len(off) else raw.new_zeros(())
    own = (2 * reliability / (1 + reliability) - usual).clamp(min=0.02).sqrt()
    return ((raw - usual) / own[:, None] / own).fill_diagonal_(1.0)


MEASURES: dict[str, Any] = {
    "gradient-cosine": cosines,
    "lookahead": lookaheads,
    "fisher": fishers,
}
FINISHED: dict[str, Any] = {
    "gradient-cosine": formulas.corrected,
    "lookahead": beside_own,
    "fisher": above_the_usual,
}


def suggested(matrix: np.ndarray) -> list[list[int]]:
    """Groups of tasks: average linkage, cut where the mean relatedness of two groups falls below
    `THRESHOLD`. In the order of their first tasks; a task related to none is alone."""
    from scipy.cluster.hierarchy import fcluster, linkage
    from scipy.spatial.distance import squareform

    if len(matrix) < 2:
        return [[0]] if len(matrix) else []
    distance = (1 - np.nan_to_num((matrix + matrix.T) / 2)).clip(0, 4)
    np.fill_diagonal(distance, 0.0)
    tree = linkage(squareform(distance, checks=False), "average")
    labels = fcluster(tree, 1 - THRESHOLD, "distance")
    groups: dict[int, list[int]] = {}
    for task, label in enumerate(labels.tolist()):
        groups.setdefault(label, []).append(task)
    return sorted(groups.values())


def relatedness(name: str, rows: MultiTaskRows, seed: int) -> dict[str, Any]:
    """What `relatedness.json` says."""
    matrix, tasks = measured(name, rows, seed).numpy(), rows.table.tasks
    return {
        "tasks": list(tasks),
        "measure": name,
        "matrix": [[round(value, 6) for value in row] for row in matrix.tolist()],
        "groups": [[tasks[task] for task in group] for group in suggested(matrix)],
        "threshold": THRESHOLD,
        "rows": "train",
    }


def measurable(built: Any) -> bool:
    """Trunks of random features need columns, and heads of one output; all rows of texts would be
    spread to all their features at once."""
    plain = built.problem.encoder is None and not built.table.packed
    return plain and built.problem.outputs == 1


def write(run: Path, found: dict[str, Any]) -> None:
    write_json(run / FILE, found)


def read(run: Path) -> dict[str, Any] | None:
    import json

    path = run / FILE
    return json.loads(path.read_bytes()) if path.is_file() else None
