"""`predict` of a model of dense tasks: for each image a class map, depth and normals."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

import numpy as np
import torch

from metacli.data.scenes.generated import CLASSES
from metacli.engine.dense.folder import DenseModel, load_dense
from metacli.engine.dense.maps import Maps, arrays, class_png, depth_png, normals_png
from metacli.engine.events import Progress, Reporter
from metacli.engine.predicting.inputs import Held, Item, images_of
from metacli.engine.results.dense import DensePrediction, DensePredictions
from metacli.engine.results.predict import NOT_FINITE, RowError
from metacli.engine.storage.paths import target
from metacli.engine.storage.writer import write_folder
from metacli.errors import DataError, UsageProblem
from metacli.nn.dense.targets import DEPTH, NORMALS, SEGMENTATION, TASKS

ROWS = "rows.jsonl"
TOGETHER = 50  # images that go through the network at a time
LONGEST = 80  # characters of a file's name that are taken from the input's


@dataclass(frozen=True)
class MapRequest:
    """Where the maps go.

    Args:
        out: the folder, new or empty; `force`: also one that this command wrote before.
    """

    out: str | Path | None
    force: bool = False
    dry_run: bool = False


def predict_maps(
    path: Path,
    items: Sequence[Item],
    request: MapRequest,
    stdin: bytes | None,
    device: torch.device,
    report: Reporter,
) -> DensePredictions:
    """Write the maps of every image that can be read, and `rows.jsonl`, a row for each image.

    Raises:
        UsageProblem: no `out`.
        DataError: there is no image, or some cannot be answered; `result` has every row.
        BundleError: a damaged model, or a folder that is not to be replaced.
    """
    if request.out is None:
        raise UsageProblem(
            "a model of dense tasks writes maps of its images: the folder is missing",
            hint="-o MAPS",
        )
    folder = target(request.out, Path(request.out), force=request.force)
    model = load_dense(path)
    files: dict[str, bytes] = {}
    rows, taken = [], set[str]()
    for name, found in answers(model, items, stdin, device):
        row, made = described(name, found, taken)
        rows.append(row)
        files |= made
        report(Progress("predicting", len(rows), None, "images"))
    size = model.options.size
    result = DensePredictions(
        rows=tuple(rows), folder=folder, labels=CLASSES, tasks=TASKS, size=(size, size)
    )
    if not rows:
        named = [one.name or "array" if isinstance(one, Held) else str(one) for one in items]
        raise DataError("nothing to predict", code="data.empty", where=", ".join(named))
    if not files or request.dry_run:
        result = replace(result, folder=None)
    else:
        lines = "".join(json.dumps(row.as_dict()) + "\n" for row in rows)
        write_folder(folder, {**files, ROWS: lines.encode()}, replace=request.force)
    result.require_all()
    return result


def answers(
    model: DenseModel, items: Sequence[Item], stdin: bytes | None, device: torch.device
) -> Iterator[tuple[str, Maps | DataError]]:
    """The maps of every image, in the order given; an error in the place of a bad one."""
    params = {name: value.to(device) for name, value in model.params.items()}
    images = images_of(items, model.inputs.image(), stdin)
    while some := list(islice(images, TOGETHER)):
        good = [x for _, x in some if not isinstance(x, DataError)]
        made = iter(maps_of(replace(model, params=params), np.stack(good)) if good else [])
        for name, x in some:
            yield name, x if isinstance(x, DataError) else next(made)


@torch.no_grad()
def maps_of(model: DenseModel, x: np.ndarray) -> list[Maps]:
    """Of images uint8 [M, 3, S, S], on the device of the model's parameters."""
    given = torch.from_numpy(x).to(model.params["target.mean"].device)
    logits, depth, normals = model.problem().predict(model.params, given)
    each = zip(
        logits.argmax(1).cpu().numpy(), depth.cpu().numpy(), normals.cpu().numpy(), strict=True
    )
    return [Maps(labels.astype(np.uint8), one, other) for labels, one, other in each]


def described(
    name: str, found: Maps | DataError, taken: set[str]
) -> tuple[DensePrediction, Mapping[str, bytes]]:
    """The row of an image, and its files by name. `taken` gets the name that they begin with."""
    if isinstance(found, DataError):
        return DensePrediction(name, error=RowError(found.code, found.message)), {}
    if not found.is_finite:
        error = RowError(NOT_FINITE, "its prediction is not a finite number")
        return DensePrediction(name, error=error), {}
    stem = free_stem(name, taken)
    taken.add(stem.lower())
    named = {task: f"{stem}.{task}.png" for task in TASKS} | {"arrays": f"{stem}.npz"}
    files = {
        named[SEGMENTATION]: class_png(found.labels),
        named[DEPTH]: depth_png(found.depth),
        named[NORMALS]: normals_png(found.normals),
        named["arrays"]: arrays(found),
    }
    counts = np.bincount(found.labels.ravel(), minlength=len(CLASSES)) / found.labels.size
    row = DensePrediction(
        name,
        named,
        dict(zip(CLASSES, counts.tolist(), strict=True)),
        float(found.depth.min()),
        float(found.depth.max()),
    )
    return row, files


def free_stem(name: str, taken: set[str]) -> str:
    """What the files of an input are called: like it, with a number where that is taken, also by a
    name that differs in case alone."""
    plain = re.sub(r"[^\w.-]+", "_", Path(name).stem).strip("._-")[:LONGEST] or "image"
    number, stem = 1, plain
    while stem.lower() in taken:
        number += 1
        stem = f"{plain}-{number}"
    return stem
