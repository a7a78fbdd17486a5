"""`inspect`: what a path is, every problem in it, and what to type next. Nothing is changed."""

from __future__ import annotations

import difflib
import os
from pathlib import Path

from metacli.data.files import shown
from metacli.data.tables.choice import Choice, stated
from metacli.engine.events import Reporter, ignore
from metacli.engine.inspecting.data import look_at_data
from metacli.engine.inspecting.dense_models import look_at_dense_model
from metacli.engine.inspecting.findings import Looked
from metacli.engine.inspecting.fitting import beside_model
from metacli.engine.inspecting.many import look_at_models
from metacli.engine.inspecting.models import look_at_model, look_at_run
from metacli.engine.inspecting.recipes import look_at_recipe
from metacli.engine.inspecting.runs import is_run, look_at_runs, runs_below
from metacli.engine.inspecting.set_models import look_at_set_model
from metacli.engine.many.models import models_below
from metacli.engine.models.named import is_dense_model, is_set_model
from metacli.engine.results.inspect import InspectResult
from metacli.engine.storage.paths import HUB_PREFIX, MODEL_FILE, NAMED, find_run_or_model
from metacli.engine.storage.writer import MANIFEST
from metacli.errors import CheckFailed, DataError, Finding
from metacli.schema.load import RUN_FILE, shipped

YAML = (".yaml", ".yml")
EXPORTS = (".pt2", ".onnx")
WEIGHTS = "weights.safetensors"


def inspect(
    path: str | Path,
    *,
    strict: bool = False,
    target: str | None = None,
    input: str | None = None,
    follow_links: bool = False,
    model: str | Path | None = None,
    report: Reporter = ignore,
) -> InspectResult:
    """Say what a recipe, task, set of tasks, pool, run or model is, and whether it is good.

    Args:
        path: a folder or file, one that holds runs or models too; the name of a shipped recipe, or
            `@last`.
        target: of a table, the column to predict. input: the columns to predict from, with commas
            between them.
        follow_links: read what links, and names that lead out of a task's folder, lead to.
        model: of images, what they are compared with: do they look like what it learned from?
        strict: any error or warning fails; notes do not.

    Raises:
        DataError: nothing is there.
        BundleError: `model` is none.
        UsageProblem: `model` beside what holds no images, or one that takes none.
        CheckFailed: `strict`, and there are problems; `result` is complete.
    """
    choice = stated(target, input, follow_links=follow_links)
    found = look(str(path), report, choice)
    if model is not None:
        found = beside_model(found, str(model), choice, report)
    valid = not any(one.level == "error" for one in found.problems)
    details = {key: value for key, value in found.details.items() if value is not None}
    result = InspectResult(found.what, found.path, valid, found.problems, details, found.next)
    count = sum(one.level != "note" for one in found.problems)
    if strict and count:
        raise CheckFailed(
            f"{count} {'problem' if count == 1 else 'problems'} in this {found.what}",
            code="inspect.problems",
            where=str(path),
            findings=[one for one in found.problems if one.level != "note"],
            result=result.as_dict(),
        )
    return result


def look(name: str, report: Reporter, choice: Choice) -> Looked:
    """What is there, looked at as what it is."""
    named = name in NAMED or name.startswith(HUB_PREFIX)
    path = find_run_or_model(name) if named else Path(name)
    if not os.path.lexists(path):
        if name in dict(shipped()):
            return look_at_recipe(name, report)
        raise missing(name)
    if path.is_dir() and (is_run(path) or is_model(path)):
        if is_set_model(path):
            return look_at_set_model(path.absolute(), name)
        if is_dense_model(path):
            return look_at_dense_model(path.absolute(), name)
        return (look_at_run if is_run(path) else look_at_model)(path.absolute(), name, report)
    if path.suffix.lower() in YAML or (path / RUN_FILE).is_file():
        return look_at_recipe(name, report)
    if path.suffix.lower() in EXPORTS:
        message = "an exported file, which metacli writes and never reads"
        hint = "the model folder that it came from can be inspected"
        problem = Finding("error", "model.export", message, shown(path), hint)
        return Looked("exported file", path.absolute(), (problem,))
    if runs := runs_below(path):
        return look_at_runs(path.absolute(), name, runs, report)
    if (models := models_below(path)) is not None:
        return look_at_models(models, name, report)
    return look_at_data(path, name, report, choice)


def is_model(path: Path) -> bool:
    """Also one that lost a file."""
    return sum((path / name).is_file() for name in (MODEL_FILE, WEIGHTS, MANIFEST)) >= 2


def missing(name: str) -> DataError:
    near = difflib.get_close_matches(name, dict(shipped()), n=2)
    hint = f"did you mean {' or '.join(near)}?" if near else "metacli recipes lists the recipes"
    return DataError(
        "no such file, folder or name", code="data.missing", where=shown(name), hint=hint
    )
