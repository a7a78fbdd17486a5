"""`predict`: what an adapted model says of new, unlabelled inputs. One row each, in the order
given."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch

from metacli.data.images import read_image
from metacli.data.user.open import list_inputs
from metacli.engine.adapting.calibration import ENOUGH_TO_REJECT
from metacli.engine.events import Progress, Reporter, ignore
from metacli.engine.models.model import AdaptedModel, AnyModel, MultiTaskModel
from metacli.engine.models.opening import open_model
from metacli.engine.models.parts import Rejection
from metacli.engine.predicting.multi_task_predict import NONE_OF_THESE, predict_tasks
from metacli.engine.predicting.row_predict import STDIN, answered, plain
from metacli.engine.predicting.rows import ROWS, calibrated, outputs
from metacli.engine.storage.paths import require_device
from metacli.errors import DataError, UsageProblem

AUTO: Literal["auto"] = "auto"
Limit = float | Literal["auto"] | None


def predict(
    model: str,
    inputs: str | Sequence[str],
    *,
    top: int = 1,
    reject: str | float | None = None,
    stdin: bytes | None = None,
    device: str = "auto",
    seed: int | None = None,
    report: Reporter = ignore,
) -> dict[str, Any]:
    """Label files, or every file of folders; every row of tables for models of texts and tables.

    Args:
        inputs: paths; a single one may be given by itself.
        top: how many labels the command line shows of each row; `probabilities` holds them all.
        reject: a probability below which the answer is "none of these"; or `auto`: it is that for
            what is less like any class than known examples are.
        stdin: what the input `-` means: CSV or lines of text; for pictures their paths, one a line.

    Returns:
        `rows`, each with input, prediction and probabilities, or an error; of numbers the interval
        `low` to `high` that held 90 % of the held-out examples.

    Raises:
        DataError: some inputs could not be read; `result` holds every row, the good ones answered.
    """
    opened = open_model(model, require_device(device), report)
    paths = [Path(inputs)] if isinstance(inputs, str) else [Path(one) for one in inputs]
    if isinstance(opened.model, MultiTaskModel):
        return predict_tasks(opened.model, paths, probability_limit(reject), report)
    adapted = require_adapted(opened.model, model)
    limit = threshold(adapted, reject)
    rows = [row for part in parts_of(adapted, paths, stdin, limit, report) for row in part]
    if not rows:
        raise DataError("nothing to predict", code="data.empty", where=", ".join(map(str, paths)))
    known, columns = adapted.confidence.as_dict(), adapted.columns
    result = {
        "rows": rows,
        "labels": list(adapted.classes or ()),
        "reject": known["reject"] if limit == AUTO else limit,
        "calibration": known.get("calibration"),
        "target": columns.target,
        "unit": columns.unit,
        "coverage": known.get("coverage"),
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


def require_adapted(model: AnyModel, name: str) -> AdaptedModel:
    """Raises DataError: it takes no files, or knows no classes or task yet."""
    if model.inputs.regresses and model.inputs.target is None:
        raise DataError(
            f"a {model.kind} model of {model.recipe.data.source} cannot label files",
            code="model.kind",
            where=name,
            hint=f"metacli evaluate {name}",
        )
    if not isinstance(model, AdaptedModel):
        what = {"image": "FOLDER_OF_CLASSES/", "text": "TEXTS.csv", "numbers": "TABLE.csv"}
        to = "to a task" if model.kind == "regression" else "to any classes"
        raise DataError(
            f"this model has not been adapted {to} yet",
            code="model.not_adapted",
            where=name,
            hint=f"metacli adapt {name} {what[model.inputs.kind]} -o mine",
        )
    return model


def parts_of(
    model: AdaptedModel, paths: Sequence[Path], stdin: bytes | None, limit: Limit, report: Reporter
) -> Iterator[list[dict[str, Any]]]:
    """Rows of answers, some at a time."""
    done = 0
    if model.inputs.reader is None:
        named = [one for path in paths for one in pictures_of(path, stdin)]
        parts: Iterator[list[dict[str, Any]]] = (
            answer(model, part, limit) for part in batches(list_inputs(named), ROWS)
        )
    else:
        if model.kind == "regression":
            say = lambda x: numbers(model, x)  # noqa: E731
        else:
            say = lambda x: labels(model, x, limit)  # noqa: E731
        found = ({**BLANK, **row} for row in answered(model, tables_of(paths), stdin, say))
        parts = iter(lambda: list(islice(found, ROWS)), [])
    for part in parts:
        done += len(part)
        report(Progress("predicting", done, None, "rows"))
        yield part


def pictures_of(path: Path, stdin: bytes | None) -> list[Path]:
    """A path, or those on stdin, one a line."""
    if str(path) != STDIN or stdin is None:
        return [path]
    return [Path(os.fsdecode(line)) for line in stdin.splitlines() if line]


def tables_of(paths: Sequence[Path]) -> list[Path]:
    """Files as they are, folders as the files in them."""
    return [
        one for path in paths for one in ([path] if str(path) == STDIN else list_inputs([path]))
    ]


def threshold(model: AdaptedModel, reject: str | float | None) -> Limit:
    """Raises UsageProblem for `auto` on a model that had too few held-out examples for a limit."""
    if reject != AUTO:
        return probability_limit(reject)
    known = model.confidence.reject
    if known is None:
        raise UsageProblem(
            f"--reject auto needs {ENOUGH_TO_REJECT} examples of the support to hold out, and this "
            "model had fewer",
            hint="--reject 0.5, or adapt with more images per class",
        )
    return AUTO if isinstance(known, Rejection) else known


def probability_limit(reject: str | float | None) -> float | None:
    """Raises UsageProblem for what is no probability; `auto` is one of an adapted model alone."""
    if reject is None:
        return None
    if reject == AUTO:
        raise UsageProblem("--reject auto is for adapted models", hint="--reject 0.5")
    try:
        limit = float(reject)
    except ValueError:
        limit = -1.0
    if not 0 <= limit <= 1:
        raise UsageProblem(f"--reject wants auto or a probability 0..1, found {reject!r}")
    return limit


def batches(paths: Iterator[Path], size: int) -> Iterator[list[Path]]:
    while part := list(islice(paths, size)):
        yield part


BLANK = {
    "input": None,
    "prediction": None,
    "probabilities": None,
    "low": None,
    "high": None,
    "error": None,
}


def answer(model: AdaptedModel, paths: list[Path], limit: Limit) -> list[dict[str, Any]]:
    """Rows for some pictures; what cannot be read is a row with its error."""
    pictures: list[np.ndarray | DataError] = []
    for path in paths:
        try:
            pictures.append(read_image(path, model.inputs.image()))
        except DataError as error:
            pictures.append(error)
    good = [one for one in pictures if isinstance(one, np.ndarray)]
    found: Iterator[dict[str, Any]] = iter(())
    if good:
        device = next(iter(model.params.values())).device
        found = iter(labels(model, torch.from_numpy(np.stack(good)).to(device), limit))
    return [
        {**BLANK, "input": str(path), "error": plain(one)}
        if isinstance(one, DataError)
        else {**BLANK, "input": str(path), **next(found)}
        for path, one in zip(paths, pictures, strict=True)
    ]


def labels(model: AdaptedModel, x: torch.Tensor, limit: Limit) -> list[dict[str, Any]]:
    """Label and probabilities of each row."""
    assert model.classes is not None
    logits = outputs(model, x)
    chances = calibrated(model, logits)
    without = rejected(model, logits, chances, limit)
    said = []
    for values, none in zip(chances.tolist(), without, strict=True):
        named = dict(zip(model.classes, values, strict=True))
        best = max(named, key=lambda label: named[label])
        said.append({"prediction": NONE_OF_THESE if none else best, "probabilities": named})
    return said


def numbers(model: AdaptedModel, x: torch.Tensor) -> list[dict[str, Any]]:
    """A number in the user's units, and from where to where: as far as held-out answers were
    off."""
    found = model.inputs.unscaled.decode(outputs(model, x)[:, 0].cpu().double().numpy())
    residual = model.confidence.residual
    off = None if residual is None else residual.residual
    return [
        {
            "prediction": float(value),
            "low": None if off is None else float(value - off),
            "high": None if off is None else float(value + off),
        }
        for value in found
    ]


def rejected(
    model: AdaptedModel, logits: torch.Tensor, chances: torch.Tensor, limit: Limit
) -> list[bool]:
    """Which rows get no label."""
    if limit is None:
        return [False] * len(logits)
    without = unlike(model, logits) if limit == AUTO else chances.max(1).values < limit
    return list(map(bool, without))


def unlike(model: AdaptedModel, logits: torch.Tensor) -> torch.Tensor:
    """Which rows are less like any class than known examples are, bool [M]."""
    limit = model.confidence.reject
    assert isinstance(limit, Rejection)
    return logits.max(1).values < limit.logit
