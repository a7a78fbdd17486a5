"""`export`: an adapted model as one file that runs without metacli.

The file is compared with PyTorch on real inputs, and written only if they agree.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from metacli import __version__
from metacli.data.images import read_image
from metacli.data.registry import DATASETS
from metacli.data.task import Row, survey_task
from metacli.engine import graph
from metacli.engine.build import load as load_pool
from metacli.engine.bundle import Bundle
from metacli.engine.events import Notice, Progress, Reporter, ignore
from metacli.engine.extras import require_extra
from metacli.engine.models import Opened, open_model
from metacli.engine.place import STAMP, cache_root, require_device
from metacli.engine.storage import write_file
from metacli.errors import BundleError, CheckFailed, DataError, EnvironmentProblem, UsageProblem

MOST = 64  # inputs compared
SIZES = (1, 2, 7)  # and all of them: a batch size that the graph took for a constant would show


@dataclass(frozen=True)
class Format:
    """How a file of one kind is made, and how it is run."""

    make: Callable[[Bundle, Mapping[str, Any]], bytes]
    load: Callable[[bytes], graph.Run]
    extra: str | None = None


FORMATS: dict[str, Format] = {
    "pt2": Format(graph.to_pt2, graph.run_pt2),
    "onnx": Format(graph.to_onnx, graph.run_onnx, "onnx"),
}


def export(
    model: str,
    *,
    format: str = "pt2",
    with_support: bool = False,
    tolerance: float = 1e-5,
    out: str | None = None,
    force: bool = False,
    device: str = "auto",
    seed: int | None = None,
    dry_run: bool = False,
    report: Reporter = ignore,
) -> dict[str, Any]:
    """Write an adapted model as `.pt2` or `.onnx`.

    It takes float32 pixels [B, C, H, W] in 0..255 and gives probabilities [B, N].

    Args:
        tolerance: the largest difference to PyTorch that passes, in probability.
        out: the file; default `./<model name>.<format>`.
        seed: of the random inputs, where there are no real ones.

    Returns:
        The `result` of the command line's JSON document; `parity.inputs` says what was compared.

    Raises:
        DataError: the model is not adapted.
        BundleError: no such model, or the file exists.
        EnvironmentProblem: an extra is missing.
        CheckFailed: the file disagrees with PyTorch; nothing is written.
    """
    refuse_what_is_not_there(format, with_support, tolerance, out)
    kind = FORMATS[format]
    if kind.extra is not None:
        require_extra(kind.extra, f"--format {format}")
    if require_device(device).type != "cpu" and device != "auto":
        report(Notice("made and compared on the CPU; the file runs on any device", "export.cpu"))
    opened = open_model(model, torch.device("cpu"), report)
    require_adapted(opened.model, model)
    file = target(opened, format, out, force=force)
    report(Progress("exporting", 0, 2, "steps"))
    entrance, leave = graph.describe(opened.model)
    data = kind.make(opened.model, about(opened.model, entrance, leave))
    report(Progress("exporting", 1, 2, "steps"))
    parity = compared(opened, kind.load(data), tolerance, seed or 0)
    result = {
        "file": str(file),
        "format": format,
        "bytes": len(data),
        "parity": parity,
        "inputs": [entrance],
        "outputs": [leave],
    }
    require_parity(result, model)
    report(Progress("exporting", 2, 2, "steps"))
    if dry_run:
        return {**result, "dry_run": True}
    write_file(file, data)
    return result


def refuse_what_is_not_there(
    format: str, with_support: bool, tolerance: float, out: str | None
) -> None:
    """Raises UsageProblem."""
    if with_support:
        raise UsageProblem(
            "--with-support is not in this version",
            hint="adapt first, then export the adapted model: its support is part of its weights",
        )
    if format not in FORMATS:
        raise UsageProblem(f"unknown format {format!r}", hint=f"there are {', '.join(FORMATS)}")
    if not (tolerance >= 0 and math.isfinite(tolerance)):
        raise UsageProblem(f"--tolerance must be 0 or more, found {tolerance}")
    ending = Path(out).suffix.removeprefix(".").lower() if out else ""
    if ending in FORMATS and ending != format:
        raise UsageProblem(
            f"-o ends in .{ending} and the format is {format}", hint=f"--format {ending}"
        )


def require_adapted(model: Bundle, name: str) -> None:
    """Raises DataError."""
    if not model.adapted:
        raise DataError(
            "this model has not been adapted yet, so there is nothing to put into a file",
            code="model.not_adapted",
            where=name,
            hint=f"metacli adapt {name} FOLDER_OF_CLASSES/ -o mine, then metacli export mine",
        )


def target(opened: Opened, format: str, out: str | None, *, force: bool) -> Path:
    """The file to write. Raises BundleError when something is there."""
    path = Path(out) if out is not None else Path(f"{name_of(opened)}.{format}")
    if path.is_dir():
        raise BundleError(
            "a folder is in the way",
            code="output.exists",
            where=str(path),
            hint="give a file with -o",
        )
    if path.exists() and not force:
        raise BundleError(
            "already exists", code="output.exists", where=str(path), hint="--force replaces it"
        )
    return path.absolute()


def name_of(opened: Opened) -> str:
    """The model's folder; for `RUN/model` its recipe; for a folder named by the time its parent."""
    if opened.run is not None:
        return str(opened.model.provenance.get("recipe") or opened.run.name)
    folder = opened.path.resolve()
    return folder.parent.name if STAMP.fullmatch(folder.name) else folder.name


def about(model: Bundle, entrance: dict[str, Any], leave: dict[str, Any]) -> dict[str, Any]:
    """What lies in the file beside the graph. Of the user's files only the names of the classes."""
    return {
        "metacli": __version__,
        "recipe": str(model.provenance.get("recipe", "")),
        "labels": leave.get("labels", []),
        "input": entrance,
        "output": leave,
    }


def compared(opened: Opened, run: graph.Run, tolerance: float, seed: int) -> dict[str, Any]:
    """The largest difference between file and PyTorch, over several batch sizes of real inputs."""
    x, source = real_inputs(opened, seed)
    expected = graph.reference(opened.model, x)
    differences = []
    for first, last in batches(len(x)):
        found = run(np.ascontiguousarray(x[first:last], dtype=np.float32))
        differences.append(float(np.abs(found.astype(np.float64) - expected[first:last]).max()))
    largest = max(differences) if all(map(math.isfinite, differences)) else math.nan
    return {
        "checked": True,
        "max_abs": largest,
        "tolerance": tolerance,
        "n": len(x),
        "inputs": source,
    }


def batches(total: int) -> list[tuple[int, int]]:
    """Ranges of 1, 2 and 7 inputs from different places, then all of them."""
    sizes = [min(size, total) for size in SIZES]
    starts = [min(sum(sizes[:place]), total - size) for place, size in enumerate(sizes)]
    return [*((at, at + size) for at, size in zip(starts, sizes, strict=True)), (0, total)]


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


def real_inputs(opened: Opened, seed: int) -> tuple[np.ndarray, str]:
    """Inputs [M, ...] to compare on, and what they are: as real as can be had."""
    if opened.model.inputs.kind == "image":
        if (x := of_task(opened)) is not None:
            return x, "the task's pictures"
        if (x := of_pool(opened)) is not None:
            return x, "pictures of the training data"
    generator = np.random.default_rng(seed)
    shape = (MOST, *opened.model.inputs.shape)
    if opened.model.inputs.kind == "image":
        return generator.integers(0, 256, shape, dtype=np.uint8), "random pixels"
    return generator.standard_normal(shape).astype(np.float32), "random numbers"


def of_task(opened: Opened) -> np.ndarray | None:
    """Pictures of the task that the model was adapted to, when it is still where it was."""
    place = opened.model.provenance.get("task")
    if place is None:
        return None
    try:
        listing = survey_task(opened.path / place)
    except DataError:
        return None  # moved or removed since: not a fault of the export
    rows = [*listing.support, *(listing.query or ())]
    pictures = list(readable(opened.model, rows[:: max(1, math.ceil(len(rows) / MOST))]))
    return np.stack(pictures) if pictures else None


def readable(model: Bundle, rows: list[Row]) -> Iterator[np.ndarray]:
    for row in rows:
        try:
            yield read_image(row.path, model.inputs.image())
        except DataError:
            continue  # adapt --skip-bad went on without it, too


def of_pool(opened: Opened) -> np.ndarray | None:
    """Pictures of the data that the model was trained on, when they are in the cache."""
    recipe = opened.model.recipe
    try:
        entry = DATASETS.get(recipe.data.source)
        if entry is None or not (cache_root() / entry.folder).is_dir():
            return None
        pool = load_pool(recipe, "train")
    except (DataError, EnvironmentProblem):
        return None  # no cache, or a damaged one
    if pool.picture_shape != opened.model.inputs.shape:
        return None
    rows = [rows[0] for rows in pool.rows if len(rows)]
    return np.stack([pool.store[row] for row in rows[:: max(1, math.ceil(len(rows) / MOST))]])
