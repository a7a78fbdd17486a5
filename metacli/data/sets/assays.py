"""Sets of assays: several targets of the same molecules, each a task of its own, with labels that
are missing (Tox21, SIDER).

The last 3 (6) targets are test, as in Z. Zhuang et al., "Graph Sampling-based Meta-Learning for
Molecular Property Prediction", IJCAI 2023; of the first 9 (21) the last 2 (4) validate. A set is
some targets of a part, with molecules of its own for each.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from metacli.data.cache.store import Report, silent
from metacli.data.catalogue.tables_of_tasks import TRAINED, MoleculeOptions, molecules
from metacli.data.few_shot.pools import check_split
from metacli.data.multi_task.dataset import MultiTaskData
from metacli.data.multi_task.read_as import Columns
from metacli.data.sets.classes import ClassGroups, ClassTask, digest_of

HELD_OUT = {"tox21": 2, "sider": 4}  # of the training targets, for validation


@dataclass(frozen=True)
class AssaySets:
    """There is nothing to choose: the parts are GS-Meta's."""


def tox21_sets(split: str, options: AssaySets, cache: Path, report: Report = silent) -> ClassGroups:
    """Raises DataError: not fetched yet, or an unknown split."""
    return assays("tox21", split, cache)


def sider_sets(split: str, options: AssaySets, cache: Path, report: Report = silent) -> ClassGroups:
    """Raises DataError: not fetched yet, or an unknown split."""
    return assays("sider", split, cache)


def assays(name: str, split: str, cache: Path) -> ClassGroups:
    check_split(split, name)
    data = molecules(name, MoleculeOptions(), cache)
    return groups_of_targets(data, split, TRAINED[name], HELD_OUT[name])


def groups_of_targets(data: MultiTaskData, split: str, trained: int, held_out: int) -> ClassGroups:
    """One group with a task for each target of a part.

    Args:
        data: targets of the same rows, NaN where a label is missing.
        trained: how many targets are not test; the last `held_out` of them validate.
    """
    parts = {
        "train": range(trained - held_out),
        "val": range(trained - held_out, trained),
        "test": range(trained, len(data.tasks)),
    }
    tasks = tuple(
        ClassTask(
            data.tasks[t],
            data.labels[t],
            tuple(
                np.flatnonzero(data.y[t] == label).astype(np.int64)
                for label in range(len(data.labels[t]))
            ),
        )
        for t in parts[split]
    )
    return ClassGroups(
        data.name,
        split,
        np.asarray(data.x[0], np.float32),
        (tasks,),
        "tasks",
        False,
        digest_of([data.contents, split, trained, held_out], [tasks]),
        read=data.read.encoding if isinstance(data.read, Columns) else None,
        positive=data.metric == "auc",
    )
