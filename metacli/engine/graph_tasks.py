"""A model of many tasks as one graph: cells of a table or pixels in, one output for each task.

Shape letters: B rows, C cells, D numbers, T tasks, K classes.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from metacli.data.encoding import Categorical, Encoding, Numeric
from metacli.engine.bundle import Bundle
from metacli.engine.graph import Arrays, Graph, described_input

_TRACED = 2


class Cells(nn.Module):
    """Cells [B, C], float64, to the numbers [B, D] that `Encoding` makes of them.

    A number is itself, NaN where the cell is missing; a word is its place among the values of its
    column, anything else where it is missing or unknown.
    """

    def __init__(self, encoding: Encoding) -> None:
        super().__init__()
        self.columns = encoding.columns

    def forward(self, cells: Tensor) -> Tensor:
        parts = [
            _numeric(one, cells[:, at]) if isinstance(one, Numeric) else _word(one, cells[:, at])
            for at, one in enumerate(self.columns)
        ]
        return torch.cat(parts, 1).to(torch.float32)


def _numeric(column: Numeric, cell: Tensor) -> Tensor:  # [B] -> [B, 1 or 2]
    gone = torch.isnan(cell)
    scaled = torch.where(gone, 0.0, (cell - column.mean) / column.scale)
    both = (scaled, gone.to(cell.dtype)) if column.missing else (scaled,)
    return torch.stack(both, 1)


def _word(column: Categorical, cell: Tensor) -> Tensor:  # [B] -> [B, values + 1]
    unknown = len(column.values)
    known = (cell >= 0) & (cell < unknown)  # a NaN is neither
    place = torch.where(known, cell, float(unknown))
    return (place[:, None] == torch.arange(unknown + 1, dtype=cell.dtype)).to(cell.dtype)


class Tasks(nn.Module):
    """The network of all tasks, its weights inside, its answers apart."""

    def __init__(self, model: Bundle) -> None:
        super().__init__()
        self.problem: Any = model.problem()
        self.labels = model.answers["labels"]
        self.names = {name: name.replace(".", "__") for name in model.params}
        for name, value in model.params.items():
            self.register_buffer(self.names[name], value.detach().clone())
        self.cells = Cells(encoding_of(model)) if model.inputs.kind == "numbers" else None
        self.eval()

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        params = {name: getattr(self, buffer) for name, buffer in self.names.items()}
        rows = self.cells(x) if self.cells is not None else x.flatten(1)
        found = self.problem.predict(params, rows)  # [T, B] or [T, B, K]
        return tuple(self.answer(task, one) for task, one in enumerate(found.unbind(0)))

    def answer(self, task: int, found: Tensor) -> Tensor:
        """A value [B], or probabilities [B, classes]."""
        if not self.problem.binary[task]:
            return found if found.dim() == 1 else found[:, 0]
        if found.dim() == 1:
            return torch.stack([1 - found, found], 1)
        return found[:, : len(self.labels[task])]


def encoding_of(model: Bundle) -> Encoding:
    return Encoding.from_dict(model.answers["read"])


def tasks_graph(model: Bundle) -> Graph:
    """A trained multi-task model; the file has one output for each of its tasks."""
    if model.inputs.kind != "numbers":
        entrance = described_input(model.inputs, "batch")
        example = torch.zeros(_TRACED, *model.inputs.shape)
    else:
        entrance = described_cells(encoding_of(model), "batch")
        example = torch.zeros(_TRACED, *entrance["shape"][1:], dtype=torch.float64)
    outputs = tuple(described_task(model, task) for task in range(len(model.answers["tasks"])))
    return Graph(Tasks(model), (entrance,), outputs, (example,))


def described_cells(encoding: Encoding, rows: str) -> dict[str, Any]:
    """The input of a table's rows."""
    columns = [
        {"name": one.name, "values": list(one.values) if isinstance(one, Categorical) else None}
        for one in encoding.columns
    ]
    return {
        "name": "cells",
        "dtype": "float64",
        "shape": [rows, len(columns)],
        "values": "numbers as they are, NaN where missing; a word as its place among its column's "
        "values, -1 where it is missing or unknown; scaling is inside",
        "columns": columns,
    }


def described_task(model: Bundle, task: int) -> dict[str, Any]:
    """One output. Its name is a number and a word, since tasks may have any name."""
    found = {"name": f"task_{task}", "dtype": "float32", "task": model.answers["tasks"][task]}
    if model.answers["kinds"][task] == "regression":
        return {**found, "shape": ["batch"]}
    labels = list(model.answers["labels"][task])
    return {**found, "shape": ["batch", len(labels)], "labels": labels}


def cells_of(encoding: Encoding, x: np.ndarray) -> np.ndarray:
    """Cells [M, C] that are encoded as x [M, D]."""
    cells, at = [], 0
    for one in encoding.columns:
        part = x[:, at : at + one.width].astype(np.float64)
        at += one.width
        if isinstance(one, Categorical):
            cells.append(part.argmax(1).astype(np.float64))
            continue
        value = part[:, 0] * one.scale + one.mean
        cells.append(np.where(part[:, 1] > 0, np.nan, value) if one.missing else value)
    return np.stack(cells, 1)


@torch.no_grad()
def tasks_reference(model: Bundle, x: np.ndarray) -> Arrays:
    """What `predict` says of encoded rows [M, D], for each task."""
    from metacli.engine.task_predict import outputs

    found = outputs(model, x)
    return tuple(
        one if kind == "regression" or one.ndim > 1 else np.stack([1 - one, one], 1)
        for one, kind in zip(found, model.answers["kinds"], strict=True)
    )


def units(model: Bundle) -> list[float]:
    """What a difference of each output is measured in: a probability, or the target's spread."""
    scales: Mapping[str, Tensor] = model.params
    return [
        float(scale) if kind == "regression" else 1.0
        for scale, kind in zip(scales["target.scale"].tolist(), model.answers["kinds"], strict=True)
    ]
