"""The in-context learner of sets of classifications, with the labelled examples of a set as inputs,
as one file: how it is compared, and what stands beside it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch

from metacli import __version__
from metacli.algorithms.meta_multitask.protocol import together
from metacli.engine.exporting import companion_class_support
from metacli.engine.exporting.entrance import Entrance, entrance_of
from metacli.engine.exporting.exportable import TOLERANCE
from metacli.engine.exporting.files import written_with
from metacli.engine.exporting.graph import Arrays, Graph, Run
from metacli.engine.exporting.graph_class_support import class_support_graph
from metacli.engine.exporting.parity import difference, largest
from metacli.engine.exporting.real_inputs import MOST
from metacli.engine.results.base import Json
from metacli.engine.results.export import ExportResult, Parity
from metacli.engine.sets.class_model import ClassFacts, ClassSetModel
from metacli.engine.sets.class_sources import class_source, images_of
from metacli.errors import DataError, EnvironmentProblem
from metacli.types import Batch, SetEpisode

SUPPORTS = ((1, 3, 2), (2, 14, 3), (4, 60, 5))  # tasks, labels and classes of what is compared
QUERIES = 9


class Shown(NamedTuple):
    """A set that was made up.

    Args:
        x: rows as the data layer reads them, [L, ...]. number: the class of each label, or its
        value, [L]. owner: its task, [L]. ways: classes of each task, 0 of a regression, [T]. asked:
        rows [Q, ...].
    """

    x: np.ndarray
    number: np.ndarray
    owner: np.ndarray
    ways: np.ndarray
    asked: np.ndarray


@dataclass(frozen=True)
class ExportableClassSupport:
    """A graph to write.

    Args:
        name: of the model.
    """

    graph: Graph
    model: ClassSetModel
    name: str

    def about(self) -> dict[str, Json]:
        """What the file holds in addition to the graph."""
        return {
            "metacli": __version__,
            "recipe": self.model.recipe.algorithm.name,
            "labels": [],
            "inputs": [one.as_dict() for one in self.graph.inputs],
            "outputs": [one.as_dict() for one in self.graph.outputs],
        }

    def parity(self, run: Run, tolerance: float | None, seed: int) -> Parity:
        """File and PyTorch on sets of several numbers of tasks, labels and classes, answered from
        scratch in both: in probability, or in scaled values."""
        limit = TOLERANCE if tolerance is None else tolerance
        rng = np.random.Generator(np.random.PCG64(seed))
        rows, source = rows_of(self.model, rng)
        entrance = entrance_of(self.model.facts.inputs)
        differences, count = [], 0
        for sizes in SUPPORTS:
            shown = made_up(self.model.facts, rows, sizes, rng)
            found = run(*as_inputs(shown, entrance, self.model.facts))
            differences.append(difference(found, answered(self.model, shown)))
            count += len(shown.ways) * len(shown.asked)
        labels = tuple(labels for _, labels, _ in SUPPORTS)
        return Parity(largest(differences), limit, count, f"sets made up of {source}", labels)

    def written(self, result: ExportResult, data: bytes) -> ExportResult:
        """The result with its README and example, after all files were written."""
        return written_with(
            companion_class_support.companion_of(result, self.model, self.name), result, data
        )


def exportable_support(model: ClassSetModel, name: str) -> ExportableClassSupport:
    """Raises DataError for a learner whose adaptation is no graph, or rows that no graph reads."""
    return ExportableClassSupport(class_support_graph(model), model, name)


def rows_of(model: ClassSetModel, rng: np.random.Generator) -> tuple[np.ndarray, str]:
    """At least QUERIES rows as the data layer reads them, and what they are: of validation sets
    where they are at hand."""
    try:
        images = images_of(model.recipe)
        if images is not None:
            return images[:: max(1, len(images) // MOST)], "images of the data"
        episodes = class_source(model.recipe, "val").meta_batch_at(0)
    except (DataError, EnvironmentProblem):
        shape = (MOST, *model.facts.inputs.shape)
        if model.facts.inputs.kind == "image":
            return rng.integers(0, 256, shape, dtype=np.uint8), "random pixels"
        return of_numbers(model.facts, rng.standard_normal(shape).astype(np.float32))
    x = episodes.query.x if episodes.query.mask is None else episodes.query.x[episodes.query.mask]
    flat = x.reshape(-1, *model.facts.inputs.shape)
    return flat[:: max(1, len(flat) // MOST)].numpy(), "rows of the data"


def of_numbers(facts: ClassFacts, x: np.ndarray) -> tuple[np.ndarray, str]:
    """Not every number is one that some cell is read as."""
    entrance = entrance_of(facts.inputs)
    with torch.no_grad():
        made: np.ndarray = entrance.module(torch.from_numpy(entrance.filled(x))).numpy()
    return made, "random numbers"


def made_up(
    facts: ClassFacts, rows: np.ndarray, sizes: tuple[int, int, int], rng: np.random.Generator
) -> Shown:
    """A set of so many tasks, labels and classes at most; every task has a label."""
    tasks, labels, classes = sizes
    owner = np.concatenate([np.arange(tasks), rng.integers(0, tasks, labels - tasks)])
    ways = np.full(tasks, classes)
    if not facts.shared_labels:
        ways[1:] = rng.integers(2, classes + 1, tasks - 1)
    if facts.kind == "mixed":
        ways[1::2] = 0
    if facts.kind == "regression":
        ways[:] = 0
    of = ways[owner]
    number = np.where(of > 0, rng.integers(0, np.maximum(of, 1)), rng.standard_normal(labels))
    x, asked = (rows[rng.integers(0, len(rows), many)] for many in (labels, QUERIES))
    return Shown(x, number, owner, ways, asked)


def as_inputs(shown: Shown, entrance: Entrance, facts: ClassFacts) -> Arrays:
    """As the file takes it."""
    classified = shown.ways[shown.owner] > 0
    most = max(1, int(shown.ways.max()))
    numbers = np.where(classified, shown.number, 0).astype(np.int64)
    one_hot = (np.eye(most)[numbers] * classified[:, None]).astype(np.float32)
    values = np.where(classified, 0, shown.number).astype(np.float32)
    return (
        entrance.filled(shown.x),
        *((one_hot,) if facts.kind != "regression" else ()),
        *((values,) if facts.kind != "classification" else ()),
        shown.owner.astype(np.int64),
        shown.ways.astype(np.int64),
        entrance.filled(shown.asked),
    )


def answered(model: ClassSetModel, shown: Shown) -> Arrays:
    """What `adapt` and `predict` compute: examples of task t are rows of a batch [1, T, M] under a
    mask of its own."""
    tasks = len(shown.ways)
    mask = torch.from_numpy(shown.owner[None, None] == np.arange(tasks)[None, :, None])
    number = shown.number.astype(np.float32)
    x, asked, y = (for_every(one, tasks) for one in (shown.x, shown.asked, number))
    query = Batch(asked, torch.zeros(asked.shape[:3]))
    ways = torch.from_numpy(shown.ways.astype(np.int64))[None]
    roles = torch.full_like(ways, -1)
    episodes = SetEpisode(Batch(x, y, mask), query, roles, ways)
    found = model.respond(episodes, together(roles))
    said = torch.where(found.logits.isinf(), 0, torch.softmax(found.logits, -1))[0].numpy()
    return (
        *((said,) if model.facts.kind != "regression" else ()),
        *((found.mean[0].numpy(),) if model.facts.kind != "classification" else ()),
    )


def for_every(rows: np.ndarray, tasks: int) -> torch.Tensor:
    """[1, T, ...]: the same rows for each task."""
    return torch.from_numpy(np.broadcast_to(rows, (1, tasks, *rows.shape)).copy())
