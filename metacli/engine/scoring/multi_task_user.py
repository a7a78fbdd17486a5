"""`evaluate` of a multi-task model on a user's own labelled rows of its tasks."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from metacli.engine.events import Notice, Reporter
from metacli.engine.models.folder import load_multi_task
from metacli.engine.models.model import MultiTaskModel
from metacli.engine.models.opening import Opened
from metacli.engine.predicting.multi_task_labelled import Labelled, labelled_rows
from metacli.engine.predicting.multi_task_predict import outputs
from metacli.engine.results.evaluate import MultiTaskEvaluation
from metacli.engine.scoring.multi_task_evaluate import judged, line_of, measured, record
from metacli.engine.scoring.multi_task_tables import mean_over_tasks
from metacli.engine.scoring.request import Request
from metacli.engine.training.multi_task.build import make_rows
from metacli.engine.training.multi_task.single_task import SINGLE
from metacli.errors import DataError, MetacliError

ROWS = 256  # at a time


def evaluate_users_rows(
    opened: Opened[MultiTaskModel], data: str, request: Request
) -> MultiTaskEvaluation:
    """As `evaluate_tasks`, on the tasks that have rows in `data`.

    Raises:
        DataError: rows that cannot be read, are of no task of the model, or were trained on.
    """
    model = opened.model
    found = labelled_rows(model, Path(data), request.reading)
    require_new(model, found, data, request.reading.allow_duplicates, request.report)
    names = [model.heads.tasks[one.task] for one in found]
    facts = MultiTaskEvaluation(
        metric=model.heads.metric,
        data=data,
        data_digest=digest_of(found),
        num_tasks=len(found),
        statistics="train",
    )
    if request.dry_run:
        return replace(facts, dry_run=True)
    y, mine = [one.y for one in found], answers(model, found)
    single = single_answers(opened, found)
    tasks = judged(facts.metric, names, y, mine, single)
    result = replace(
        measured(facts, y, mine, {} if single is None else {SINGLE: single}),
        tasks=tasks,
        together=mean_over_tasks([one.delta for one in tasks]),
    )
    return replace(result, scores=record(opened, request.out, line_of(opened, facts), result))


def answers(model: MultiTaskModel, found: Sequence[Labelled]) -> list[np.ndarray]:
    """What the model says of each task's rows, in the user's units."""
    return [
        np.concatenate(
            [
                outputs(model, one.x[start : start + ROWS])[one.task]
                for start in range(0, len(one.x), ROWS)
            ]
        )
        for one in found
    ]


def single_answers(
    opened: Opened[MultiTaskModel], found: Sequence[Labelled]
) -> list[np.ndarray] | None:
    """What the single-task models of the run say; None where it has none."""
    if opened.run is None or not (folder := opened.run / "baselines" / SINGLE).is_dir():
        return None
    return answers(load_multi_task(folder), found)


def require_new(
    model: MultiTaskModel,
    found: Sequence[Labelled],
    data: str,
    allow_duplicates: bool,
    report: Reporter,
) -> None:
    """Raises DataError for texts or images that the model was trained on: its score on those is
    no result. Rows of few columns may well be equal by chance: a notice says so."""
    try:
        rows = make_rows(model.recipe)
    except MetacliError as error:
        message = f"whether the model was trained on these rows is not known: {error.message}"
        report(Notice(message, "data.training_rows"))
        return
    known: set[str] | set[bytes]  # once, however many tasks a row is of
    if model.inputs.kind == "text":
        texts = rows.words("train", "val")
        known = {word for one in found for word in set(texts[one.task]) & set(one.texts)}
    else:
        learned = rows.numbers("train", "val")[0]
        known = {row for one in found for row in keys(learned[one.task]) & keys(one.x)}
    count = len(known)
    if not count:
        return
    what = {"text": "texts", "image": "images"}.get(model.inputs.kind, "rows")
    message = f"{count} different {what} are among those that the model was trained on"
    if model.inputs.kind != "numbers" and not allow_duplicates:
        raise DataError(
            message,
            code="data.trained_on",
            where=data,
            hint="give it others; --allow-duplicates goes on all the same",
        )
    report(Notice(message, "data.trained_on"))


def keys(x: np.ndarray) -> set[bytes]:
    """Each row as bytes, as the network gets them."""
    return {row.tobytes() for row in np.ascontiguousarray(x, np.float32)}


def digest_of(found: Sequence[Labelled]) -> str:
    """SHA-256 hex of rows, targets and tasks."""
    whole = hashlib.sha256()
    for one in found:
        whole.update(f"{one.task} {len(one.y)}".encode())
        whole.update(np.ascontiguousarray(one.x, "<f4").tobytes() + one.y.tobytes())
    return whole.hexdigest()
