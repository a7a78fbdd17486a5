"""`predict DIR INPUTS`: each input to the model of its task."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path

import torch

from metacli.data.files import scan
from metacli.data.user.listing import kind_of
from metacli.engine.events import Progress, Reporter
from metacli.engine.many.models import Models
from metacli.engine.many.over import name_of, threads_for, within
from metacli.engine.predicting.example_predict import ExamplePredictor
from metacli.engine.predicting.inputs import STDIN, Held, Item
from metacli.engine.predicting.limits import AUTO, probability_limit
from metacli.engine.predicting.predictor import require_files
from metacli.engine.results.predict import Prediction, RowError, TaskPrediction, TaskPredictions
from metacli.errors import DataError, Interrupted, MetacliError, RunFailed, UsageProblem
from metacli.threads import computing_with


def predict_each(
    models: Models,
    items: Sequence[Item],
    *,
    reject: str | float | None,
    device: torch.device,
    report: Reporter,
) -> TaskPredictions:
    """Rows in the order of the inputs, each with its task. An input whose task has no model, or one
    that is damaged, has its error.

    Args:
        reject: as of `predict`; with `auto` every model has its own limit.

    Raises:
        UsageProblem: what is no file.
        DataError: no input belongs to a model; or some could not be answered, and the error's
            `result` has every row.
    """
    limit = None if reject == AUTO else probability_limit(reject)
    pairs = [pair for item in items for pair in paired(models, item)]
    require_one(models, pairs)
    rows: list[TaskPrediction] = []
    for task, group in groupby(pairs, key=lambda pair: pair[0]):
        paths = [path for _, path in group]
        report(Progress("predicting", len(rows), None, "rows"))
        found = predict_one(models, task, paths, reject, device, within(task, report))
        rows += (of_task(one, task) for one in found)
    result = TaskPredictions(
        rows=tuple(rows),
        reject=limit,
        tasks=tuple(dict.fromkeys(task for task, _ in pairs if task in models.by_task)),
    )
    result.require_all()
    return result


def paired(models: Models, item: Item) -> Iterator[tuple[str, Path]]:
    """An input with its task: its own name, or that of the nearest folder above it that is named in
    it; a folder whose entries are called like models is what is in it.

    Raises:
        UsageProblem: an array or stdin, which have no name.
        DataError: a folder that may not be listed.
    """
    if isinstance(item, Held) or str(item) == STDIN:
        raise UsageProblem(
            "a folder of models answers for files and folders, which are called like its tasks",
            hint=f"one of its models answers for whatever is given: {models.path}/TASK",
        )
    name = name_of(item)
    if name in models.by_task:
        yield name, item
        return
    inside = entries(item) if item.is_dir() else []
    if any(name_of(one) in models.by_task for one in inside):
        yield from ((name_of(one), one) for one in inside)
        return
    above = (parent.name for parent in item.parents)
    yield next((parent for parent in above if parent in models.by_task), name), item


def entries(folder: Path) -> list[Path]:
    """Folders, and files of a kind that is read here, in the order of their names."""
    found = scan(folder, follow=True)
    files = [name for name in found.files if kind_of(name) is not None]
    return [folder / name for name in sorted([*found.folders, *files])]


def require_one(models: Models, pairs: Sequence[tuple[str, Path]]) -> None:
    """Raises DataError where no input belongs to a model."""
    if any(task in models.by_task for task, _ in pairs):
        return
    known = ", ".join(list(models.by_task)[:5])
    raise DataError(
        f"no input is called like a model of {models.path}, which has {known}",
        code="predict.no_task",
        where=", ".join(str(path) for _, path in pairs[:5]),
        hint=f"name one model: metacli predict {models.path}/TASK INPUT...",
    )


def predict_one(
    models: Models,
    task: str,
    paths: Sequence[Path],
    reject: str | float | None,
    device: torch.device,
    report: Reporter,
) -> tuple[Prediction, ...]:
    """Rows of one task; what is wrong with its model is in the row of each of its inputs."""
    try:
        opened = models.open(task, device, report)
        require_files(opened.model, str(opened.path))
        with computing_with(threads_for([opened.model.inputs.kind])):
            found = ExamplePredictor(opened.model).predict(paths, reject, None, report)
    except (RunFailed, Interrupted):
        raise
    except MetacliError as error:
        plain = RowError(error.code, error.message)
        return tuple(Prediction(str(path), error=plain) for path in paths)
    return found.rows


def of_task(row: Prediction, task: str) -> TaskPrediction:
    """The same row with its task."""
    found = (row.input, row.prediction, row.probabilities, row.low, row.high, row.error)
    return TaskPrediction(*found, task=task)
