"""An adapted model of tables as one graph: cells in; probabilities, or numbers in the user's units,
out. The encoding of the columns and the scale of the target are inside.

Shape letters: B rows, C cells, D numbers, N classes.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from metacli.data.columns import NOTHING_SAID
from metacli.data.row_loading import RowSpec
from metacli.data.table_tasks import numbers_of
from metacli.data.task import survey_task
from metacli.engine.bundle import Bundle
from metacli.engine.graph import Deployed, Graph, Run, described_output, reference
from metacli.engine.graph_tasks import Cells, cells_of, described_cells
from metacli.engine.models import Opened
from metacli.engine.parity import MOST, Compared, batches, difference, largest, random_inputs
from metacli.errors import DataError

_TRACED = 2


class Rows(nn.Module):
    """Cells [B, C], float64, to probabilities [B, N] or values [B, 1]."""

    def __init__(self, model: Bundle) -> None:
        super().__init__()
        self.cells = Cells(model.inputs.encoder)
        self.model = Deployed(model)
        target = model.inputs.unscaled
        self.scale, self.mean = (target.scale, target.mean) if model.classes is None else (1.0, 0.0)

    def forward(self, cells: Tensor) -> Tensor:
        found: Tensor = self.model(self.cells(cells))
        return found if self.model.classifies else found * self.scale + self.mean


def takes_cells(model: Bundle) -> bool:
    """Whether its inputs are rows of a user's tables."""
    return model.inputs.reader is not None and model.inputs.reader["name"] == "table"


def rows_graph(model: Bundle) -> Graph:
    """The file of an adapted model of tables."""
    entrance = described_cells(model.inputs.encoder, "batch")
    output = described_output(model, "batch")
    if model.inputs.target is not None:
        unit = model.answers.get("unit")
        what = f"{model.inputs.target['name']} in {unit or 'the units of the table'}"
        output |= {"name": "values", "values": what}
    example = torch.zeros(_TRACED, *entrance["shape"][1:], dtype=torch.float64)
    return Graph(Rows(model), (entrance,), (output,), (example,))


def compare_rows(opened: Opened, run: Run, seed: int) -> Compared:
    """File and PyTorch on rows of the task; numbers are compared in units of the target's
    spread."""
    model = opened.model
    x, source = real_rows(opened, seed)
    cells = cells_of(model.inputs.encoder, x)
    scale, mean = (1.0, 0.0)
    if model.classes is None:
        scale, mean = model.inputs.unscaled.scale, model.inputs.unscaled.mean
    expected = reference(model, x)
    differences = []
    for first, last in batches(len(x)):
        (found,) = run(np.ascontiguousarray(cells[first:last]))
        plain = (found.astype(np.float64) - mean) / scale
        differences.append(difference((plain,), (expected[first:last],)))
    return Compared(largest(differences), len(x), source)


def real_rows(opened: Opened, seed: int) -> tuple[np.ndarray, str]:
    """Rows of the task that the model was adapted to, as it sees them; random ones when it is not
    where it was."""
    model, place = opened.model, opened.model.provenance.get("task")
    spec: Any = model.inputs.wanted(model.answers)
    assert isinstance(spec, RowSpec)
    try:
        listing = survey_task(opened.path / str(place), NOTHING_SAID.completed(spec))
        x = numbers_of(listing.content.support, listing.content, spec.encoder, False)
        return x[:: max(1, math.ceil(len(x) / MOST))], "the task's rows"
    except DataError:  # moved or removed since: not a fault of the export
        return random_inputs(model, MOST, np.random.default_rng(seed))
