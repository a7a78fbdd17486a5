"""Does an exported file answer as PyTorch does? Compared on inputs that are as real as can be had.

Shape letters: M examples, N classes, S support examples.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import torch

from metacli.engine.exporting.entrance import entrance_of
from metacli.engine.exporting.graph import Arrays, Run, reference
from metacli.engine.exporting.graph_support import answer
from metacli.engine.exporting.graph_tasks import entrance_of_tasks, tasks_reference, units
from metacli.engine.exporting.real_inputs import Learned, real_pairs, real_rows, real_tasks
from metacli.engine.models.model import AdaptedModel, FewShotModel, MultiTaskModel
from metacli.engine.models.opening import Opened
from metacli.engine.results.export import Parity
from metacli.types import Batch

SIZES = (1, 2, 7)  # and all of them: a batch size that the graph took for a constant would show


@dataclass(frozen=True)
class Compared:
    """What was compared: how many answers, on what, and the largest difference."""

    max_abs: float
    n: int
    inputs: str
    supports: tuple[int, ...] | None = None

    def within(self, tolerance: float) -> Parity:
        """The same with what is allowed."""
        return Parity(self.max_abs, tolerance, self.n, self.inputs, self.supports)


Compare = Callable[[Run, int], Compared]
"""(a model's file, seed of what has to be made up) -> what was compared."""


def largest(differences: list[float]) -> float:
    """Not a number where any of them is not."""
    return max(differences) if all(map(math.isfinite, differences)) else math.nan


def difference(found: Arrays, expected: Arrays) -> float:
    """The largest absolute difference over all outputs, in either direction; not a number where any
    of them is not."""
    pairs = zip(found, expected, strict=True)
    return largest([float(np.abs(a.astype(np.float64) - b).max()) for a, b in pairs])


def compare_adapted(opened: Opened[AdaptedModel], run: Run, seed: int) -> Compared:
    """File and PyTorch over several batch sizes of inputs."""
    x, inputs, source = real_pairs(opened, seed)
    scale = spread(opened.model)
    expected = reference(opened.model, x) / scale
    differences = []
    for first, last in batches(len(x)):
        (found,) = run(*(one[first:last] for one in inputs))
        differences.append(difference((found / scale,), (expected[first:last],)))
    return Compared(largest(differences), len(x), source)


def float32_error(opened: Opened[AdaptedModel], seed: int) -> float:
    """The largest difference of PyTorch in float32 to itself in float64, on the same inputs."""
    x, _, _ = real_pairs(opened, seed)
    params = {k: v.double() if v.is_floating_point() else v for k, v in opened.model.params.items()}
    wide = x.astype(np.float64) if x.dtype == np.float32 else x  # pixels are whole numbers
    exact = reference(replace(opened.model, params=params), wide)
    scale = spread(opened.model)
    return difference((reference(opened.model, x) / scale,), (exact / scale,))


def compare_support(opened: Opened[FewShotModel], run: Run, seed: int) -> Compared:
    """File and PyTorch on tasks of three support sizes, adapted from scratch in both."""
    tasks, source = real_tasks(opened, seed)
    model, differences = opened.model, []
    for support, query in tasks:
        expected = support_reference(model, support, query)
        (found,) = run(*support_arrays(model, support, query))
        differences.append(difference((found / spread(model),), (expected / spread(model),)))
    sizes = tuple(len(support.x) for support, _ in tasks)
    return Compared(largest(differences), sum(len(q.x) for _, q in tasks), source, sizes)


def compare_tasks(opened: Opened[MultiTaskModel], run: Run, seed: int) -> Compared:
    """File and PyTorch on rows of the data, every task's output in its own unit."""
    model = opened.model
    x, source = real_rows(model, seed)
    shaped = x.reshape(-1, *model.inputs.shape) if model.inputs.kind == "image" else x
    inputs = entrance_of_tasks(model).filled(shaped)
    scale = units(model)
    expected = tuple(a / b for a, b in zip(tasks_reference(model, x), scale, strict=True))
    differences = []
    for first, last in batches(len(x)):
        found = run(inputs[first:last])
        scaled = tuple(a.astype(np.float64) / b for a, b in zip(found, scale, strict=True))
        differences.append(difference(scaled, tuple(one[first:last] for one in expected)))
    return Compared(largest(differences), len(x), source)


def spread(model: Learned) -> float:
    """What a difference is measured in: probability, or the standard deviation of the target."""
    return 1.0 if model.kind == "classification" else model.inputs.unscaled.scale


def targets_of(model: Learned, support: Batch) -> np.ndarray:
    """`support_y`: one column for each class, or values in the user's unit."""
    y = support.y.numpy()
    if model.kind == "regression":
        return model.inputs.unscaled.decode(y.astype(np.float64)).astype(np.float32)
    fixed = None if model.learner().any_way else model.way
    result: np.ndarray = np.eye(fixed or int(y.max()) + 1, dtype=np.float32)[y]
    return result


def support_arrays(model: FewShotModel, support: Batch, query: Batch) -> Arrays:
    """The three inputs of a graph with its support inside."""
    entrance = entrance_of(model.inputs)
    support_x, query_x = (entrance.filled(one.x.numpy()) for one in (support, query))
    return support_x, targets_of(model, support), query_x


@torch.no_grad()
def support_reference(model: FewShotModel, support: Batch, query: Batch) -> np.ndarray:
    """What `adapt` and `predict` compute."""
    y = torch.from_numpy(targets_of(model, support))
    x, asked = (one.x.to(torch.float32) for one in (support, query))
    return answer(model, model.problem(), model.params, x, y, asked).numpy()


def batches(total: int) -> list[tuple[int, int]]:
    """Ranges of 1, 2 and 7 inputs from different places, then all of them."""
    sizes = [min(size, total) for size in SIZES]
    starts = [min(sum(sizes[:place]), total - size) for place, size in enumerate(sizes)]
    return [*((at, at + size) for at, size in zip(starts, sizes, strict=True)), (0, total)]
