"""`export`: a model as one file that runs without metacli.

The file is compared with PyTorch on real inputs, and written only if they agree.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import torch

from metacli import __version__
from metacli.engine.events import Notice, Progress, Reporter, ignore
from metacli.engine.exporting import companion
from metacli.engine.exporting.exporters import FORMATS
from metacli.engine.exporting.graph import Graph, adapted_graph
from metacli.engine.exporting.graph_support import support_graph
from metacli.engine.exporting.graph_tasks import tasks_graph
from metacli.engine.exporting.parity import (
    Compare,
    compare_adapted,
    compare_support,
    compare_tasks,
    float32_error,
)
from metacli.engine.extras import require_extra
from metacli.engine.models.model import AdaptedModel, AnyModel, FewShotModel, Model, MultiTaskModel
from metacli.engine.models.opening import Opened, open_model
from metacli.engine.storage.paths import STAMP, require_device
from metacli.engine.storage.writer import write_file
from metacli.errors import BundleError, CheckFailed, DataError, UsageProblem

TOLERANCE = 1e-5


def export(
    model: str,
    *,
    format: str = "pt2",
    with_support: bool = False,
    tolerance: float | None = None,
    out: str | None = None,
    force: bool = False,
    device: str = "auto",
    seed: int | None = None,
    dry_run: bool = False,
    report: Reporter = ignore,
) -> dict[str, Any]:
    """Write a model as one `.pt2` or `.onnx` file.

    An adapted model takes float32 pixels [B, C, H, W] in 0..255 and gives probabilities [B, N].

    Args:
        with_support: of a meta-learner that is not adapted: the file takes a support and queries,
            and adapts by itself.
        tolerance: the largest difference to PyTorch that passes, in probability; default 1e-5, or
            twice what PyTorch in float32 differs from itself in float64, which is more in deep
            networks.
        out: the file; default `./<model name>.<format>`.
        seed: of the random inputs, where there are no real ones.

    Returns:
        The `result` of the command line's JSON document; `parity.inputs` says what was compared.

    Raises:
        DataError: the model is not adapted, or its adaptation cannot be written as a graph.
        BundleError: no such model, or the file exists.
        EnvironmentProblem: an extra is missing.
        CheckFailed: the file disagrees with PyTorch; nothing is written.
    """
    refuse_what_does_not_fit(format, tolerance, out)
    asked = TOLERANCE if tolerance is None else tolerance
    kind = FORMATS[format]
    if kind.extra is not None:
        require_extra(kind.extra, f"--format {format}")
    if require_device(device).type != "cpu" and device != "auto":
        report(Notice("made and compared on the CPU; the file runs on any device", "export.cpu"))
    opened = open_model(model, torch.device("cpu"), report)
    file = target(opened, format, out, force=force)
    report(Progress("exporting", 0, 3, "steps"))
    graph, compare, own_error = written(opened, model, with_support)
    report(Progress("exporting", 1, 3, "steps"))
    data = kind.make(graph, about(opened.model, graph))
    report(Progress("exporting", 2, 3, "steps"))
    result: dict[str, Any] = {
        "file": str(file),
        "format": format,
        "bytes": len(data),
        "parity": compare(kind.load(data), seed or 0).as_dict(asked),
        "inputs": list(graph.inputs),
        "outputs": list(graph.outputs),
    }
    if tolerance is None and result["parity"]["max_abs"] > asked and own_error is not None:
        result["parity"]["tolerance"] = max(asked, 2 * own_error(seed or 0))
    require_parity(result, model)
    report(Progress("exporting", 3, 3, "steps"))
    if dry_run:
        return {**result, "dry_run": True}
    readme, example = companion.names(file)
    write_together(
        {
            example: companion.example(result).encode(),
            readme: companion.readme(result, name_of(opened)).encode(),
            file: data,
        }
    )
    told = {"readme": str(readme), "example": str(example), "usage": companion.usage(result)}
    return {**result, **told}


def write_together(files: Mapping[Path, bytes]) -> None:
    """All of the files, or none of those that were not there before."""
    fresh = [path for path in files if not path.exists()]
    try:
        for path, data in files.items():
            write_file(path, data)
    except BaseException:
        for path in fresh:
            path.unlink(missing_ok=True)
        raise


def written(
    opened: Opened[AnyModel], name: str, with_support: bool
) -> tuple[Graph, Compare, Callable[[int], float] | None]:
    """The one dispatch of `export`: the graph of a model, how its file is compared, and what
    PyTorch in float32 differs from itself. Raises DataError for a model that cannot be written this
    way."""
    match opened.model:
        case MultiTaskModel() as model:
            if with_support:
                raise not_traceable(
                    model,
                    "a multi-task model does not adapt by itself: it answers for its own tasks",
                    "leave out --with-support, or adapt first and export the adapted model",
                )
            return tasks_graph(model), partial(compare_tasks, opened.having(model)), None
        case FewShotModel() as model:
            if not with_support:
                raise not_adapted(name)
            return support_graph(model), partial(compare_support, opened.having(model)), None
        case AdaptedModel() as model:
            if with_support:
                raise not_traceable(
                    model,
                    "this model is adapted already: its support is part of its weights",
                    "leave out --with-support, or export the model that it came from",
                    "model.adapted",
                )
            one = opened.having(model)
            return adapted_graph(model), partial(compare_adapted, one), partial(float32_error, one)


def not_traceable(
    model: Model, message: str, hint: str, code: str = "export.not_traceable"
) -> DataError:
    where = str(model.provenance.get("recipe", ""))
    return DataError(message, code=code, where=where, hint=hint)


def refuse_what_does_not_fit(format: str, tolerance: float | None, out: str | None) -> None:
    """Raises UsageProblem."""
    if format not in FORMATS:
        raise UsageProblem(f"unknown format {format!r}", hint=f"there are {', '.join(FORMATS)}")
    if tolerance is not None and not (tolerance >= 0 and math.isfinite(tolerance)):
        raise UsageProblem(f"--tolerance must be 0 or more, found {tolerance}")
    ending = Path(out).suffix.removeprefix(".").lower() if out else ""
    if ending in FORMATS and ending != format:
        raise UsageProblem(
            f"-o ends in .{ending} and the format is {format}", hint=f"--format {ending}"
        )


def not_adapted(name: str) -> DataError:
    return DataError(
        "this model has not been adapted yet, so there is nothing to put into a file",
        code="model.not_adapted",
        where=name,
        hint=f"metacli adapt {name} FOLDER_OF_CLASSES/ -o mine, then metacli export mine; or "
        "--with-support puts the adaptation itself into the file",
    )


def target(opened: Opened[AnyModel], format: str, out: str | None, *, force: bool) -> Path:
    """The file to write. Raises BundleError when something is there."""
    path = Path(out) if out is not None else Path(f"{name_of(opened)}.{format}")
    if path.is_dir():
        raise BundleError(
            "a folder is in the way",
            code="output.exists",
            where=str(path),
            hint="give a file with -o",
        )
    for one in (path, *companion.names(path)):
        if one.exists() and not force:
            raise BundleError(
                "already exists", code="output.exists", where=str(one), hint="--force replaces it"
            )
    return path.absolute()


def name_of(opened: Opened[AnyModel]) -> str:
    """The model's folder; for `RUN/model` its recipe; for a folder named by the time its parent."""
    if opened.run is not None:
        return str(opened.model.provenance.get("recipe") or opened.run.name)
    folder = opened.path.resolve()
    return folder.parent.name if STAMP.fullmatch(folder.name) else folder.name


def about(model: Model, graph: Graph) -> dict[str, Any]:
    """What lies in the file beside the graph. Of the user's files only the names of the classes."""
    return {
        "metacli": __version__,
        "recipe": str(model.provenance.get("recipe", "")),
        "labels": list((isinstance(model, AdaptedModel) and model.classes) or ()),
        "inputs": list(graph.inputs),
        "outputs": list(graph.outputs),
    }


def require_parity(result: dict[str, Any], model: str) -> None:
    """Raises CheckFailed when the largest difference is above the tolerance, or not a number."""
    parity = result["parity"]
    if parity["max_abs"] <= parity["tolerance"]:
        return
    raise CheckFailed(
        f"the {result['format']} file differs from PyTorch by {parity['max_abs']:.2g}, at most "
        f"{parity['tolerance']:g} was asked for; nothing was written",
        code="export.disagrees",
        where=model,
        hint="try the other --format, or a larger --tolerance if that does not matter to you",
        result={**result, "file": None, "bytes": None},
    )
