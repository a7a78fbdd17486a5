"""Inputs that tell the target outright."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from metacli.data.files import shown
from metacli.data.tables.choice import TaskType
from metacli.data.tables.reader import Table
from metacli.data.tables.strays import as_number
from metacli.data.tables.targets import targets_of
from metacli.errors import Finding


def leaks(table: Table, target: str, inputs: Sequence[str], type: TaskType) -> list[Finding]:
    """Inputs that tell the target outright: the same numbers, or one word for each label."""
    answer = targets_of(table, target)
    found = []
    for one in inputs:
        cells = table.words(one)
        if _tells(cells, answer, type):
            message = f"column {shown(one)} tells {shown(target)} outright: is it known beforehand?"
            hint = f"leave it out with --input if it is made from {shown(target)}"
            found.append(Finding("warning", "table.leak", message, table.name, hint))
    return found


def _tells(cells: Sequence[str | None], answer: Sequence[str], type: TaskType) -> bool:
    if type == "regression":
        pairs = [(as_number(a or ""), as_number(b)) for a, b in zip(cells, answer, strict=True)]
        known = np.array([(a, b) for a, b in pairs if a is not None and b is not None], float)
        if len(known) < 5 or len(known) < len(answer) or min(known.std(0)) == 0:
            return False
        return bool(abs(np.corrcoef(known.T)[0, 1]) > 0.99999)
    values, labels = len(set(cells)), len(set(answer))
    pairs_seen = len(set(zip(cells, answer, strict=True)))
    return 1 < labels <= values == pairs_seen and values <= len(answer) // 2
