"""`predict`: what an adapted model says of new, unlabelled inputs. One row each, in the order
given."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch

from metacli.data.images import read_image
from metacli.data.task import list_inputs
from metacli.engine.bundle import Bundle
from metacli.engine.calibration import ENOUGH_TO_REJECT, too_far
from metacli.engine.events import Progress, Reporter, ignore
from metacli.engine.models import open_model
from metacli.engine.place import require_device
from metacli.engine.rows import ROWS, probabilities
from metacli.engine.task_predict import NONE_OF_THESE, predict_tasks
from metacli.errors import DataError, UsageProblem

AUTO: Literal["auto"] = "auto"
Limit = float | Literal["auto"] | None


def predict(
    model: str,
    inputs: str | Sequence[str],
    *,
    top: int = 1,
    reject: str | float | None = None,
    device: str = "auto",
    seed: int | None = None,
    report: Reporter = ignore,
) -> dict[str, Any]:
    """Label files, or every file of folders; rows of tables for a model of many tasks.

    Args:
        inputs: paths; a single one may be given by itself.
        top: how many labels the command line shows of each row; `probabilities` holds them all.
        reject: a probability below which the answer is "none of these"; or `auto`: it is that for
            what is farther from every class than known examples are.

    Returns:
        `rows`, each with input, prediction and probabilities, or an error.

    Raises:
        DataError: some inputs could not be read; `result` holds every row, the good ones answered.
    """
    opened = open_model(model, require_device(device), report)
    paths = [Path(inputs)] if isinstance(inputs, str) else [Path(one) for one in inputs]
    if opened.model.kind == "tasks" and not opened.model.adapted:
        floor = threshold(opened.model, reject)
        assert not isinstance(floor, str)  # no model of many tasks has a limit of its own
        return predict_tasks(opened.model, paths, floor, report)
    if opened.model.kind != "classification":
        raise DataError(
            f"a {opened.model.kind} model of {opened.model.recipe.data.source} cannot label files",
            code="model.kind",
            where=model,
            hint=f"metacli evaluate {model}",
        )
    if opened.model.classes is None:
        raise DataError(
            "this model has not been adapted to any classes yet",
            code="model.not_adapted",
            where=model,
            hint=f"metacli adapt {model} FOLDER_OF_CLASSES/ -o mine",
        )
    limit = threshold(opened.model, reject)
    rows: list[dict[str, Any]] = []
    for part in batches(list_inputs(paths), ROWS):
        rows += answer(opened.model, part, limit)
        report(Progress("predicting", len(rows), None, "rows"))
    if not rows:
        raise DataError("nothing to predict", code="data.empty", where=", ".join(map(str, paths)))
    result = {
        "rows": rows,
        "labels": list(opened.model.classes),
        "reject": opened.model.answers["reject"] if limit == AUTO else limit,
        "calibration": opened.model.answers.get("calibration"),
    }
    bad = [row for row in rows if row["error"] is not None]
    if bad:
        raise DataError(
            f"{len(bad)} of {len(rows)} inputs could not be read, the first: "
            f"{bad[0]['error']['message']}",
            code="predict.unreadable",
            where=bad[0]["input"],
            result=result,
        )
    return result


def threshold(model: Bundle, reject: str | float | None) -> Limit:
    """Raises UsageProblem for `auto` on a model that had too few held-out examples for a limit."""
    if reject is None:
        return None
    if reject != AUTO:
        try:
            limit = float(reject)
        except ValueError:
            limit = -1.0
        if not 0 <= limit <= 1:
            raise UsageProblem(f"--reject wants auto or a probability 0..1, found {reject!r}")
        return limit
    if "reject" not in model.answers:
        raise UsageProblem(
            f"--reject auto needs {ENOUGH_TO_REJECT} examples of the support to hold out, and this "
            "model had fewer",
            hint="--reject 0.5, or adapt with more pictures per class",
        )
    known = model.answers["reject"]  # a probability, in models of the first versions
    return AUTO if isinstance(known, Mapping) else float(known)


def batches(paths: Iterator[Path], size: int) -> Iterator[list[Path]]:
    while part := list(islice(paths, size)):
        yield part


def answer(model: Bundle, paths: list[Path], limit: Limit) -> list[dict[str, Any]]:
    """Rows for some files; what cannot be read is a row with its error."""
    pictures: list[np.ndarray | DataError] = []
    for path in paths:
        try:
            pictures.append(read_image(path, model.inputs.image()))
        except DataError as error:
            pictures.append(error)
    good = [one for one in pictures if isinstance(one, np.ndarray)]
    found: Iterator[tuple[list[float], bool]] = iter(())
    if good:
        device = next(iter(model.params.values())).device
        x = torch.from_numpy(np.stack(good)).to(device)
        chances = probabilities(model, x)
        found = zip(chances.tolist(), rejected(model, x, chances, limit), strict=True)
    return [row(model, path, one, found) for path, one in zip(paths, pictures, strict=True)]


def rejected(model: Bundle, x: torch.Tensor, chances: torch.Tensor, limit: Limit) -> list[bool]:
    """Which rows get no label."""
    if limit is None:
        return [False] * len(x)
    without = too_far(model, x) if limit == AUTO else chances.max(1).values < limit
    return list(map(bool, without))


def row(
    model: Bundle,
    path: Path,
    picture: np.ndarray | DataError,
    found: Iterator[tuple[list[float], bool]],
) -> dict[str, Any]:
    blank = {
        "input": str(path),
        "prediction": None,
        "probabilities": None,
        "low": None,
        "high": None,
        "error": None,
    }
    if isinstance(picture, DataError):
        return {**blank, "error": {"code": picture.code, "message": picture.message}}
    assert model.classes is not None
    answer, none = next(found)
    chances = dict(zip(model.classes, answer, strict=True))
    best = max(chances, key=lambda label: chances[label])
    return {**blank, "prediction": NONE_OF_THESE if none else best, "probabilities": chances}
