"""What is exported: a module without metacli in it, with names for what goes in and comes out.

Shape letters: B batch (dynamic), C H W one image, N classes.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from torch import Tensor, nn
from torch.export import Dim

from metacli.engine.exporting.entrance import entrance_of
from metacli.engine.models.model import AdaptedModel, FewShotModel
from metacli.engine.models.parts import NO_COLUMNS
from metacli.engine.predicting.rows import probabilities
from metacli.engine.results.export import TensorSpec
from metacli.nn.problem import Problem
from metacli.types import Params

Arrays = tuple[np.ndarray, ...]
Run = Callable[..., Arrays]
"""A file that was read back: arrays in the order of the inputs to arrays in the order of the
outputs."""

_TRACED = 2  # a batch of one would be taken for a constant


@dataclass(frozen=True)
class Graph:
    """A module to write into a file.

    Args:
        inputs: a word in a shape is a dynamic size.
        outputs: `labels` where the last axis is over classes.
        example: zeros to trace with; they stay in the file, so no image of anybody's.
        most: the largest that a dynamic size may be, by its word.
    """

    module: nn.Module
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    example: tuple[Tensor, ...]
    most: Mapping[str, int] = field(default_factory=dict)

    def dynamic(self) -> tuple[dict[int, Dim], ...]:
        """Which axes of each input may have any size, for `torch.export`."""
        words = {size for one in self.inputs for size in one.shape if isinstance(size, str)}
        dims = {word: Dim(word, max=self.most.get(word)) for word in words}
        return tuple(
            {axis: dims[size] for axis, size in enumerate(one.shape) if isinstance(size, str)}
            for one in self.inputs
        )


class Deployed(nn.Module):
    """What a user has of an example to probabilities [B, N], or to values in the user's unit.

    All weights are parameters or buffers of this module: exporters take nothing else along.
    """

    def __init__(self, model: AdaptedModel, entrance: nn.Module) -> None:
        super().__init__()
        problem = model.problem()
        self.entrance, self.target = entrance, model.inputs.unscaled
        self.classifies = model.kind == "classification"
        self.temperature = model.confidence.temperature
        self.learner = model.learner()
        self.network = copy.deepcopy(problem.module).requires_grad_(False)
        own = set(self.network.state_dict())
        self.network.load_state_dict({k: v for k, v in model.params.items() if k in own})
        rest = {k: v for k, v in model.params.items() if k not in own}
        self.names = {name: name.replace(".", "__") for name in rest}
        for name, value in rest.items():
            self.register_buffer(self.names[name], value.detach().clone())
        owned = _Owned(self.network, problem.features, problem.kind, problem.head)
        self.problem = replace(owned, statistics=problem.statistics, unit=problem.unit)
        self.eval()

    def forward(self, x: Tensor, beside: Tensor | None = None) -> Tensor:
        params = {name: getattr(self, buffer) for name, buffer in self.names.items()}
        given = self.entrance(x) if beside is None else self.entrance(x, beside)
        prediction = self.learner.predict(self.problem, params, given)
        if self.classifies:
            return torch.softmax(prediction / self.temperature, 1)
        return prediction * self.target.scale + self.target.mean


class _Owned(Problem):
    """A problem whose network has its weights inside, for learners that only predict."""

    def embed(self, params: Params, x: Tensor, *, together: bool = False) -> Tensor:
        assert not together  # an export answers row by row
        found: Tensor = self.module(x)
        return found


def adapted_graph(model: AdaptedModel) -> Graph:
    """An adapted model: its support is in its weights."""
    entrance = entrance_of(model.inputs)
    return Graph(
        Deployed(model, entrance.module),
        tuple(one.described("batch") for one in entrance.every),
        (described_output(model, "batch"),),
        tuple(one.zeros(_TRACED) for one in entrance.every),
    )


def described_output(model: AdaptedModel, rows: str) -> TensorSpec:
    """The output of an adapted model."""
    if model.classes is None:
        return TensorSpec("values", "float32", (rows, model.way), values=unit_of(model))
    shape = (rows, len(model.classes))
    return TensorSpec("probabilities", "float32", shape, labels=model.classes)


def unit_of(model: FewShotModel | AdaptedModel) -> str | None:
    """What the values of a regression are, as far as it is known."""
    columns = model.columns if isinstance(model, AdaptedModel) else NO_COLUMNS
    words = (columns.target, columns.unit or model.inputs.unscaled.unit)
    return " in ".join(word for word in words if word) or None


@torch.no_grad()
def reference(model: AdaptedModel, x: np.ndarray) -> np.ndarray:
    """What `predict` computes, for examples as the data layer reads them: uint8 or float32."""
    rows = torch.from_numpy(np.ascontiguousarray(x))
    if model.kind == "classification":
        return probabilities(model, rows).numpy()
    found: Tensor = model.learner().predict(model.problem(), model.params, rows)
    return model.inputs.unscaled.decode(found.double().numpy())
