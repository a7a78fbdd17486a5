"""Which tasks belong together, measured before training on untrained trunks with fitted heads.

Every measure becomes a matrix in which 1 says that a task is as good as one's own rows and 0 that
it is of no use, averaged over `TRUNKS` random trunks with one hidden layer. It costs a few backward
passes of all tasks together, whatever the run's own network is.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from pydantic import TypeAdapter, ValidationError
from scipy.cluster.hierarchy import fcluster, linkage
from scipy.spatial.distance import squareform
from torch import Tensor

from metacli.algorithms.multitask import relatedness as formulas
from metacli.data.draws import stream
from metacli.data.multi_task.dataset import MultiTaskRows
from metacli.data.multi_task.from_texts import folded
from metacli.engine.events import Notice
from metacli.engine.results.base import Json
from metacli.engine.scoring.multi_task_params import with_statistics
from metacli.engine.storage.disk import damaged
from metacli.engine.storage.writer import write_json
from metacli.errors import first_names
from metacli.nn.multi_task import TaskProblem
from metacli.nn.sharing.hard import Hard
from metacli.threads import computing_with
from metacli.types import Batch, Params

FILE = "relatedness.json"
TRUNKS, UNITS = 16, 64
FOLDED = 256  # columns of texts
THRESHOLD = 0.4
MANY = 0.1  # of the tasks; fewer are set apart by noise: 9 of 139 schools, whom sharing helps
SHOWN = 8


def measured(name: str, rows: MultiTaskRows, seed: int) -> Tensor:
    """The matrix [T, T] of a measure from the training rows, float64."""
    rows = replace(rows, table=folded(rows.table, FOLDED))
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
        each = [one.double() for one in found]
        sums = [a + b for a, b in zip(sums, each, strict=True)] if sums else each
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
        result: Tensor = found / found.norm(dim=1, keepdim=True).clamp(min=1e-12)
        return result

    whole = embedded(batch)
    first, second = (embedded(half) for half in formulas.halves(batch, rng))
    return whole @ whole.T, (first * second).sum(1)


def compared_with_own(z: Tensor) -> Tensor:
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


Measure = Callable[[TaskProblem, Params, Batch, torch.Generator], tuple[Tensor, ...]]
# What is averaged over the trunks, and what makes a matrix of the means.
MEASURES: Mapping[str, Measure] = {
    "gradient-cosine": cosines,
    "lookahead": lookaheads,
    "fisher": fishers,
}
FINISHED: Mapping[str, Callable[..., Tensor]] = {
    "gradient-cosine": formulas.corrected,
    "lookahead": compared_with_own,
    "fisher": above_the_usual,
}


def suggested(matrix: np.ndarray) -> list[list[int]]:
    """Groups of tasks: average linkage, cut where the mean relatedness of two groups falls below
    `THRESHOLD`. In the order of their first tasks; a task related to none is alone."""
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


@dataclass(frozen=True)
class Relatedness:
    """What `relatedness.json` says.

    Args:
        tasks: their names. matrix: [T][T], what a row's task is worth to a column's.
        groups: names of tasks that belong together, above `threshold`.
        rows: what was measured on.
    """

    tasks: list[str]
    measure: str
    matrix: list[list[float | None]]
    groups: list[list[str]]
    threshold: float = THRESHOLD
    rows: str = "train"

    def as_dict(self) -> dict[str, Json]:
        return dict(vars(self))


_FILE: TypeAdapter[Relatedness] = TypeAdapter(Relatedness)


def relatedness(name: str, rows: MultiTaskRows, seed: int) -> Relatedness:
    """Which tasks belong together by a measure, from the training rows."""
    matrix, tasks = measured(name, rows, seed).numpy(), rows.table.tasks
    return Relatedness(
        tasks=list(tasks),
        measure=name,
        matrix=[[round(value, 6) for value in row] for row in matrix.tolist()],
        groups=[[tasks[task] for task in group] for group in suggested(matrix)],
    )


def of_unrelated(found: Relatedness) -> Notice | None:
    """A warning where so many tasks are related to no other that sharing is likely to hurt."""
    alone = [group[0] for group in found.groups if len(group) == 1]
    share, tasks = len(alone) / len(found.tasks), len(found.tasks)
    if tasks < 2 or share < MANY:
        return None
    if share == 1:
        said = f"none of the {tasks} tasks looks related to another"
    else:
        looks, names = "looks" if len(alone) == 1 else "look", first_names(alone, SHOWN)
        said = f"{len(alone)} of {tasks} tasks {looks} related to no other: {names}"
    then = "sharing may make them worse than each by itself; guard=true shares only where it helps"
    return Notice(f"{said} ({found.measure} of training rows); {then}", "tasks.unrelated")


def measurable(problem: TaskProblem, rows: MultiTaskRows) -> bool:
    """Trunks of random features need columns, and heads of one output."""
    return problem.encoder is None and problem.outputs == 1


def write(run: Path, found: Relatedness) -> None:
    write_json(run / FILE, found.as_dict())


def read(run: Path) -> Relatedness | None:
    """What the run measured before; None where it did not. Raises BundleError."""
    path = run / FILE
    if not path.is_file():
        return None
    try:
        return _FILE.validate_json(path.read_bytes())
    except ValidationError as error:
        key = ".".join(map(str, error.errors()[0]["loc"]))
        raise damaged(path, f"is not what metacli writes: {key}") from None
