"""A model of many tasks as one graph: cells of a table or pixels in, one output for each task.

Shape letters: B rows, C cells, D numbers, T tasks, K classes.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor, nn

from metacli.data.tables.encoding import Encoding
from metacli.engine.exporting.entrance import Entrance, entrance_of, of_cells
from metacli.engine.exporting.graph import Arrays, Graph
from metacli.engine.models.model import MultiTaskModel
from metacli.engine.predicting.multi_task_predict import outputs
from metacli.engine.results.export import TensorSpec

_TRACED = 2


class Tasks(nn.Module):
    """The network of all tasks, its weights inside, its answers apart."""

    def __init__(self, model: MultiTaskModel, entrance: Entrance) -> None:
        super().__init__()
        self.problem = model.problem()
        self.labels = model.heads.labels
        self.names = {name: name.replace(".", "__") for name in model.params}
        for name, value in model.params.items():
            self.register_buffer(self.names[name], value.detach().clone())
        self.entrance = entrance.module
        self.eval()

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        params = {name: getattr(self, buffer) for name, buffer in self.names.items()}
        found = self.problem.predict(params, self.entrance(x).flatten(1))  # [T, B] or [T, B, K]
        return tuple(self.answer(task, one) for task, one in enumerate(found.unbind(0)))

    def answer(self, task: int, found: Tensor) -> Tensor:
        """A value [B], or probabilities [B, classes]."""
        if not self.problem.binary[task]:
            return found if found.dim() == 1 else found[:, 0]
        if found.dim() == 1:
            return torch.stack([1 - found, found], 1)
        return found[:, : len(self.labels[task])]


def entrance_of_tasks(model: MultiTaskModel) -> Entrance:
    """Columns are those that training read."""
    if model.inputs.kind != "numbers":
        return entrance_of(model.inputs)
    return of_cells(Encoding.from_dict(model.heads.cells))


def tasks_graph(model: MultiTaskModel) -> Graph:
    """A trained multi-task model; the file has one output for each of its tasks."""
    entrance = entrance_of_tasks(model)
    outputs = tuple(described_task(model, task) for task in range(len(model.heads.tasks)))
    example = entrance.zeros(_TRACED)
    return Graph(Tasks(model, entrance), (entrance.described("batch"),), outputs, (example,))


def described_task(model: MultiTaskModel, task: int) -> TensorSpec:
    """One output. Its name is a number and a word, since tasks may have any name."""
    name, labels = f"task_{task}", model.heads.labels[task]
    regresses = model.heads.regresses(task)
    shape = ("batch",) if regresses else ("batch", len(labels))
    known = None if regresses else labels
    return TensorSpec(name, "float32", shape, labels=known, task=model.heads.tasks[task])


@torch.no_grad()
def tasks_reference(model: MultiTaskModel, x: np.ndarray) -> Arrays:
    """What `predict` gives for encoded rows [M, D], for each task."""
    found = outputs(model, x)
    return tuple(
        one if kind == "regression" or one.ndim > 1 else np.stack([1 - one, one], 1)
        for one, kind in zip(found, model.heads.kinds, strict=True)
    )


def units(model: MultiTaskModel) -> list[float]:
    """What a difference of each output is measured in: a probability, or the target's spread."""
    scales: Mapping[str, Tensor] = model.params
    return [
        float(scale) if kind == "regression" else 1.0
        for scale, kind in zip(scales["target.scale"].tolist(), model.heads.kinds, strict=True)
    ]
