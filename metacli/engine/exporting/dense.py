"""A model of dense tasks as one file: pixels in, one output for each task.

Shape letters: B images (any number), S pixels of a side, K classes.
"""

from __future__ import annotations

import copy
import json
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from metacli import __version__
from metacli.data.scenes.generated import CLASSES, scenes
from metacli.engine.dense.folder import DenseModel, load_dense
from metacli.engine.exporting import companion
from metacli.engine.exporting import companion_parts as parts
from metacli.engine.exporting.companion_dense import IMPORTS, MAIN
from metacli.engine.exporting.entrance import entrance_of
from metacli.engine.exporting.exportable import TOLERANCE
from metacli.engine.exporting.files import written_with
from metacli.engine.exporting.graph import Arrays, Graph, Run
from metacli.engine.exporting.parity import batches, difference, largest
from metacli.engine.exporting.real_inputs import MOST
from metacli.engine.exporting.sets import called
from metacli.engine.models.card import escape
from metacli.engine.results.base import Json
from metacli.engine.results.export import ExportResult, Parity, TensorSpec
from metacli.errors import DataError
from metacli.nn.dense.targets import DEPTH, NORMALS, SEGMENTATION, TASKS, answers
from metacli.types import Params

_TRACED = 2
USAGE = "IMAGE..."


class Pixels(nn.Module):
    """The network of all tasks, its weights inside: pixels [B, 3, S, S] of 0..255 to probabilities
    [B, K, S, S], depth [B, S, S] and unit normals [B, 3, S, S]."""

    mean: Tensor
    scale: Tensor

    def __init__(self, model: DenseModel) -> None:
        super().__init__()
        problem = model.problem()
        self.network = copy.deepcopy(problem.module).requires_grad_(False)
        own = {name: model.params[name] for name in problem.trainable}
        self.network.load_state_dict(own)
        self.register_buffer("mean", model.params["target.mean"].detach().clone())
        self.register_buffer("scale", model.params["target.scale"].detach().clone())
        self.eval()

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        logits, depth, normals = answers(self.network(x / 255 - 0.5), self.mean, self.scale)
        return torch.softmax(logits, 1), depth, normals


def dense_graph(model: DenseModel) -> Graph:
    """The file has one output for each task."""
    entrance, size = entrance_of(model.inputs), model.options.size
    outputs = (
        TensorSpec(
            *(SEGMENTATION, "float32", ("batch", len(CLASSES), size, size)),
            values=f"probability of each class of a pixel: {', '.join(CLASSES)}",
        ),
        TensorSpec(
            *(DEPTH, "float32", ("batch", size, size)),
            values="along the view, in the unit of the training depth",
        ),
        TensorSpec(
            *(NORMALS, "float32", ("batch", 3, size, size)),
            values="unit vectors: x to the right, y down, z away from the camera",
        ),
    )
    example = (entrance.zeros(_TRACED),)
    return Graph(Pixels(model), (entrance.described("batch"),), outputs, example)


@dataclass(frozen=True)
class ExportableDense:
    """A graph to write.

    Args:
        name: of the model.
    """

    graph: Graph
    model: DenseModel
    name: str

    def about(self) -> dict[str, Json]:
        """What the file holds in addition to the graph."""
        return {
            "metacli": __version__,
            "recipe": str(self.model.provenance.get("recipe", "")),
            "labels": list(CLASSES),
            "inputs": [one.as_dict() for one in self.graph.inputs],
            "outputs": [one.as_dict() for one in self.graph.outputs],
        }

    def parity(self, run: Run, tolerance: float | None, seed: int) -> Parity:
        """File and PyTorch on validation images, over several batch sizes: in probability, in
        standard deviations of the depth, in parts of unit vectors. Deep networks may differ by
        twice of what PyTorch in float32 differs from itself in float64."""
        model = self.model
        x = scenes(replace(model.options, val=min(MOST, model.options.val)), "val").images
        scale = float(model.params["target.scale"])
        expected = in_units(reference(model, model.params, x), scale)
        differences = []
        for first, last in batches(len(x)):
            found = in_units(run(x[first:last].astype(np.float32)), scale)
            differences.append(difference(found, tuple(one[first:last] for one in expected)))
        most = largest(differences)
        limit = TOLERANCE if tolerance is None else tolerance
        if tolerance is None and most > TOLERANCE:
            exact = {name: value.double() for name, value in model.params.items()}
            own = difference(expected, in_units(reference(model, exact, x), scale))
            limit = max(TOLERANCE, 2 * own)
        return Parity(most, limit, len(x), "validation images of its data")

    def written(self, result: ExportResult, data: bytes) -> ExportResult:
        """The result with its README and example, after all files were written."""
        made = companion.Companion(example(result), page(result, self.name), USAGE)
        return written_with(made, result, data)


def exportable_dense(path: Path, *, with_support: bool) -> ExportableDense:
    """Raises BundleError for a damaged model; DataError where a support was asked for."""
    if with_support:
        raise DataError(
            "a model of dense tasks does not adapt: it answers for its own tasks",
            code="export.not_traceable",
            where=str(path),
            hint="leave out --with-support",
        )
    model = load_dense(path)
    return ExportableDense(dense_graph(model), model, called(path))


@torch.no_grad()
def reference(model: DenseModel, params: Params, x: np.ndarray) -> Arrays:
    """What `predict` computes of images uint8 [M, 3, S, S], in the precision of the parameters."""
    logits, depth, normals = model.problem().predict(params, torch.from_numpy(x))
    return torch.softmax(logits, 1).numpy(), depth.numpy(), normals.numpy()


def in_units(found: Arrays, scale: float) -> Arrays:
    """Depth in units of `scale`, all in float64."""
    chances, depth, normals = (one.astype(np.float64) for one in found)
    return chances, depth / scale, normals


def example(result: ExportResult) -> str:
    """The script that runs the file."""
    kind, first = result.format, result.inputs[0]
    head = (
        f'"""Runs the exported model in this folder. It needs numpy, {parts.NEEDS[kind]} and '
        f"Pillow, and not metacli. It writes IMAGE.npz with segmentation, depth and normals of "
        f'every pixel.\n\n    python THIS_FILE {USAGE}\n"""\n'
    )
    facts = [
        f"FILE = Path(__file__).with_name({json.dumps(companion.file_of(result).name)})",
        f'MODE, HEIGHT, WIDTH = "RGB", {first.shape[2]}, {first.shape[3]}',
        f"TASKS, CLASSES = {list(TASKS)!r}, {list(CLASSES)!r}",
    ]
    imports = IMPORTS.format(runtime=parts.IMPORT[kind])
    body = parts.images(first) + "\n" + parts.RUN[kind] + parts.begin_main(USAGE) + MAIN
    return "\n".join([head, imports, "\n".join(facts), body])


def page(result: ExportResult, name: str) -> str:
    """What the file is, what goes in and comes out, how to run it."""
    file = companion.file_of(result)
    lines = [f"# {escape(file.name)}", "", f"Exported from the metacli model {escape(name)}.", ""]
    lines += ["| | name | type | shape | values |", "| --- | --- | --- | --- | --- |"]
    lines += [companion.row_of("input", one) for one in result.inputs]
    lines += [companion.row_of("output", one) for one in result.outputs]
    note = "Scaling of the pixels is inside; decoding an image and resizing it are not: the example"
    lines += ["", f"Sizes that are words may be any number. {note} does both as metacli does."]
    lines += ["", "## Run it", "", "```"]
    lines += [f"pip install numpy {parts.NEEDS[result.format]} pillow"]
    lines += [f"python {companion.names(file)[1].name} {USAGE}", "```", ""]
    return "\n".join([*lines, companion.compared(result.parity), ""])
