"""The result of a folder of tasks, from a row for each."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from metacli.engine.many.over import over_tasks
from metacli.engine.results.adapt_many import Adaptations, TaskRow, TransferOverTasks
from metacli.engine.scoring.intervals import compared, paired_t


def together(
    rows: Sequence[TaskRow], *, folder: Path | None, source: Sequence[str], method: str, device: str
) -> Adaptations:
    """The rows with their mean and their worst.

    Args:
        folder: of the models; None after a dry run.
    """
    over = over_tasks(rows)
    return Adaptations(
        model=folder,
        source=tuple(source),
        method=method,
        tasks=tuple(rows),
        adapted=sum(one.status == "adapted" for one in rows),
        kept=sum(one.status == "kept" for one in rows),
        failed=sum(one.status == "failed" for one in rows),
        metric=over.metric,
        mean=over.mean,
        ci95=over.ci95,
        worst=over.worst,
        device=device,
        transfer=None if over.mean is None else transfer_over(rows),
        dry_run=True if folder is None else None,
    )


def transfer_over(rows: Sequence[TaskRow]) -> TransferOverTasks | None:
    """Student's paired t over the tasks that were compared; None of fewer than two."""
    deltas = np.array([one.delta for one in rows if one.delta is not None])
    if len(deltas) < 2:
        return None
    return TransferOverTasks(compared(paired_t(deltas), len(deltas)), len(deltas))
