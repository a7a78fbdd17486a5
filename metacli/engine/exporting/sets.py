"""What of a model of sets can be written into a file, how it is compared, and what stands beside
it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from metacli import __version__
from metacli.algorithms.meta_multitask.protocol import together
from metacli.data.sets.from_user import asking
from metacli.engine.exporting import companion_sets
from metacli.engine.exporting.exportable import TOLERANCE
from metacli.engine.exporting.files import written_with
from metacli.engine.exporting.graph import Arrays, Graph, Run
from metacli.engine.exporting.graph_sets import (
    across,
    adapted_set_graph,
    ends,
    in_context_graph,
)
from metacli.engine.exporting.parity import SIZES, difference, largest
from metacli.engine.results.base import Json
from metacli.engine.results.export import ExportResult, Parity
from metacli.engine.sets.model import AdaptedSet, SetModel
from metacli.errors import DataError
from metacli.nn.set_attention import Gaussian
from metacli.types import Batch

ROWS = 50  # that are compared beside those that the model was adapted to
SUPPORTS = ((1, 3), (2, 12), (4, 90))  # tasks and labels of the sets that are compared


@dataclass(frozen=True)
class ExportableSet:
    """A graph to write.

    Args:
        name: of the model.
    """

    graph: Graph
    model: SetModel | AdaptedSet
    name: str

    def about(self) -> dict[str, Json]:
        """What the file holds in addition to the graph."""
        graph, model = self.graph, self.model
        source = model if isinstance(model, SetModel) else model.source
        return {
            "metacli": __version__,
            "recipe": source.recipe.algorithm.name,
            "labels": [],
            "inputs": [one.as_dict() for one in graph.inputs],
            "outputs": [one.as_dict() for one in graph.outputs],
        }

    def parity(self, run: Run, tolerance: float | None, seed: int) -> Parity:
        """File and PyTorch, in standard deviations of the labels."""
        limit = TOLERANCE if tolerance is None else tolerance
        rng = np.random.Generator(np.random.PCG64(seed))
        if isinstance(self.model, AdaptedSet):
            return compare_adapted_set(self.model, run, limit, rng)
        return compare_in_context(self.model, run, limit, rng)

    def written(self, result: ExportResult, data: bytes) -> ExportResult:
        """The result with its README and example, after all files were written."""
        return written_with(
            companion_sets.companion_of(result, self.model, self.name), result, data
        )


def exportable_set(model: SetModel | AdaptedSet, name: str, *, with_support: bool) -> ExportableSet:
    """Raises DataError for what cannot be written this way."""
    if isinstance(model, AdaptedSet):
        if with_support:
            raise adapted_already(name)
        return ExportableSet(adapted_set_graph(model), model, called(Path(name)))
    if not with_support:
        raise DataError(
            "this model has not been adapted to a set yet, so there is nothing to export",
            code="model.not_adapted",
            where=name,
            hint=f"metacli adapt {name} SET.csv -o mine, then metacli export mine; or "
            "--with-support puts the adaptation itself into the file",
        )
    return ExportableSet(in_context_graph(model), model, called(Path(name)))


def adapted_already(name: str) -> DataError:
    return DataError(
        "this model is adapted already: its support is part of its weights",
        code="model.adapted",
        where=name,
        hint="leave out --with-support, or export the model that it came from",
    )


def called(path: Path) -> str:
    """The model's folder; of a run's `model` the run's."""
    return path.parent.name if path.name == "model" else path.name


def compare_adapted_set(
    model: AdaptedSet, run: Run, limit: float, rng: np.random.Generator
) -> Parity:
    """On the rows that it was adapted to, and as many again drawn from their range."""
    mask = model.support.mask
    assert mask is not None  # of every adapted set
    seen = model.support.x[mask].numpy()
    fresh = rng.uniform(seen.min(0), seen.max(0), (ROWS, seen.shape[1]))
    x = np.concatenate([seen, fresh.astype(np.float32)]).astype(np.float32)
    spread = spread_of(model.support.y[mask].numpy())
    expected = ends(model.predict(across(torch.from_numpy(x), len(model.tasks)))).numpy()
    differences = []
    for first, last in ranges(len(x)):
        found = run(x[first:last])
        differences.append(
            difference(scaled(found, spread), scaled(expected[:, first:last], spread))
        )
    inputs = "rows that it was adapted to, and others from their range"
    return Parity(largest(differences), limit, len(x), inputs)


def ranges(total: int) -> Iterator[tuple[int, int]]:
    """1, 2 and 7 rows, and all of them: a size taken for a constant would show."""
    yield from ((0, min(size, total)) for size in (*SIZES, total))


def scaled(found: Arrays | np.ndarray, spread: float) -> Arrays:
    return tuple(np.asarray(one, np.float64) / spread for one in found)


def spread_of(y: np.ndarray) -> float:
    """The standard deviation of labels; 1 where they are all the same."""
    return float(y.std()) or 1.0


def compare_in_context(model: SetModel, run: Run, limit: float, rng: np.random.Generator) -> Parity:
    """On sets of several numbers of tasks and labels, answered from scratch in both."""
    differences, count = [], 0
    for tasks, labels in SUPPORTS:
        arrays = made_up(model, tasks, labels, rng)
        expected = answered(model, *arrays)
        (found,) = run(*arrays)
        spread = spread_of(arrays[1])
        differences.append(difference(scaled(found, spread), scaled(expected, spread)))
        count += expected.shape[0] * expected.shape[1]
    sizes = tuple(labels for _, labels in SUPPORTS)
    return Parity(largest(differences), limit, count, "sets that were made up", sizes)


def made_up(model: SetModel, tasks: int, labels: int, rng: np.random.Generator) -> Arrays:
    """The inputs of an in-context graph; every task has a label."""
    owner = np.concatenate([np.arange(tasks), rng.integers(0, tasks, labels - tasks)])
    known = len(model.known)
    roles = rng.permutation(known)[:tasks] if known else np.full(tasks, -1)
    if known and known < tasks:
        roles = rng.integers(0, known, tasks)
    x, y = rng.uniform(-4, 4, (labels, model.width)), rng.normal(size=labels)
    asked = rng.uniform(-4, 4, (9, model.width))
    words = (owner.astype(np.int64), roles.astype(np.int64))
    return (x.astype(np.float32), y.astype(np.float32), *words, asked.astype(np.float32))


def answered(
    model: SetModel,
    x: np.ndarray,
    y: np.ndarray,
    owner: np.ndarray,
    roles: np.ndarray,
    asked: np.ndarray,
) -> np.ndarray:
    """What `adapt` and `predict` compute, [T, Q, 3]: labels of task t are the rows of a batch [1,
    T, M] whose mask is its own."""
    tasks = len(roles)
    shown = np.broadcast_to(x, (1, tasks, *x.shape)).copy()
    labels = np.broadcast_to(y, (1, tasks, *y.shape)).copy()
    mask = torch.from_numpy(owner[None, None] == np.arange(tasks)[None, :, None])
    support = Batch(torch.from_numpy(shown), torch.from_numpy(labels), mask)
    named = torch.from_numpy(roles)[None]
    episodes = asking(support, named, across(torch.from_numpy(asked), tasks)[None])
    found = model.answer(episodes, together(named))
    return ends(Gaussian(found.mean[0], found.variance[0])).numpy()
