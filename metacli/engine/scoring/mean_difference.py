"""What learning together is worth on the mean over the tasks, and how sure that is.

The tasks of one split of the rows share their test rows' luck and the trained networks, so where
runs of the recipe on several splits lie in one folder and were evaluated, the interval is
that of Nadeau and Bengio over the splits; otherwise Student's over the tasks.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from metacli.data.multi_task.dataset import MultiTaskRows
from metacli.engine.events import Notice, Reporter
from metacli.engine.models.model import Model
from metacli.engine.results.base import Json
from metacli.engine.results.evaluate import MeanDelta, TaskScore
from metacli.engine.scoring import score_file
from metacli.engine.scoring.intervals import nadeau_bengio
from metacli.engine.scoring.multi_task_tables import mean_delta, mean_over_tasks
from metacli.errors import BundleError

FEWEST = 3  # splits whose spread says anything


def trained_as(model: Model) -> str:
    """The same for runs that differ in their seed and in the split of the rows alone."""
    plain = model.recipe.plain()
    plain["data"] = {key: value for key, value in plain["data"].items() if key != "split_seed"}
    left_out = ("seed", "expect", "baselines")
    return score_file.units_hash(**{k: v for k, v in plain.items() if k not in left_out})


def mean_difference(
    tasks: Sequence[TaskScore],
    rows: MultiTaskRows,
    run: Path | None,
    line: Mapping[str, Json],
    report: Reporter,
) -> MeanDelta:
    """The mean difference to the single-task models, and what its interval is over in words.

    Args:
        tasks: of this evaluation.
        run: whose neighbours may have been evaluated, too.
        line: of the score file: `trained`, `split` and `split_seed`.
    """
    own = mean_over_tasks([one.delta for one in tasks])
    if run is None or own.mean_delta is None:
        return own
    found: dict[Json, list[float]] = {line["split_seed"]: [own.mean_delta]}
    for other in neighbours(run, report):
        if any(other.get(key) != line[key] for key in ("trained", "split")):
            continue  # of another recipe, perhaps of another kind
        value = mean_delta((other.get("result") or {}).get("tasks") or []).mean_delta
        if value is not None:
            found.setdefault(other["split_seed"], []).append(value)
    if len(found) < FEWEST:
        return own
    values = np.array([np.mean(each) for _, each in sorted(found.items(), key=lambda x: str(x[0]))])
    delta, low, high = nadeau_bengio(values, share(rows, str(line["split"])))
    return MeanDelta(delta, (low, high), f"{len(found)} splits of the rows")


def neighbours(run: Path, report: Reporter) -> Iterator[Mapping[str, Any]]:
    """What was evaluated of the other runs in the same folder."""
    for path in sorted(run.parent.glob(f"*/{score_file.SCORES}")):
        if path.parent == run:
            continue
        try:
            yield from score_file.read(path)
        except BundleError as error:
            report(Notice(f"left out: {error.message}", "scores.damaged"))


def share(rows: MultiTaskRows, split: str) -> float:
    """Rows of a split for each row that a model of another split may have learned from."""
    sizes = {name: sum(map(len, parts)) for name, parts in rows.parts.items()}
    learned: Sequence[str] = ("train", "val") if split == "test" else ("train",)
    return sizes[split] / sum(sizes[name] for name in learned)
