"""Does an exported file say what PyTorch says? Compared on inputs that are as real as can be had.

Shape letters: M examples, N classes, S support examples.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch

from metacli.data.catalogue.registry import DATASETS
from metacli.data.images import read_image
from metacli.data.user.open import Row, load_task, survey_task
from metacli.engine.exporting.entrance import entrance_of
from metacli.engine.exporting.graph import Arrays, Run, reference
from metacli.engine.exporting.graph_support import answer
from metacli.engine.exporting.graph_tasks import entrance_of_tasks, tasks_reference, units
from metacli.engine.models.model import AdaptedModel, FewShotModel, MultiTaskModel
from metacli.engine.models.opening import Opened
from metacli.engine.storage.paths import cache_root
from metacli.engine.training.build import load as load_pool
from metacli.engine.training.build import make_source
from metacli.engine.training.multi_task_build import make_rows
from metacli.errors import DataError, EnvironmentProblem
from metacli.nn.multi_task import unpacked
from metacli.schema.few_shot import FewShotRecipe
from metacli.types import Batch

MOST = 64  # inputs compared
SIZES = (1, 2, 7)  # and all of them: a batch size that the graph took for a constant would show
SUPPORTS = ((3, 1), (5, 2), (7, 4))  # way and shot of the tasks that a whole learner is compared on
QUERIES = 3  # of each class


@dataclass(frozen=True)
class Compared:
    """What was compared: how many answers, on what, and the largest difference."""

    max_abs: float
    n: int
    inputs: str
    supports: tuple[int, ...] | None = None

    def as_dict(self, tolerance: float) -> dict[str, Any]:
        found = {"checked": True, "max_abs": self.max_abs, "tolerance": tolerance, "n": self.n}
        extra = {} if self.supports is None else {"supports": list(self.supports)}
        return {**found, "inputs": self.inputs, **extra}


Compare = Callable[[Run, int], Compared]
"""(a model's file, seed of what has to be made up) -> what was compared."""
Learned = FewShotModel | AdaptedModel


def largest(differences: list[float]) -> float:
    return max(differences) if all(map(math.isfinite, differences)) else math.nan


def difference(found: Arrays, expected: Arrays) -> float:
    """The largest of all outputs, and not a number where any of them is not."""
    pairs = zip(found, expected, strict=True)
    return largest([float(np.abs(a.astype(np.float64) - b).max()) for a, b in pairs])


def compare_adapted(opened: Opened[AdaptedModel], run: Run, seed: int) -> Compared:
    """File and PyTorch over several batch sizes of inputs."""
    x, source = real_inputs(opened, seed)
    inputs, scale = entrance_of(opened.model.inputs).filled(x), spread(opened.model)
    expected = reference(opened.model, x) / scale
    differences = []
    for first, last in batches(len(x)):
        (found,) = run(inputs[first:last])
        differences.append(difference((found / scale,), (expected[first:last],)))
    return Compared(largest(differences), len(x), source)


def float32_error(opened: Opened[AdaptedModel], seed: int) -> float:
    """The largest difference of PyTorch in float32 to itself in float64, on the same inputs."""
    x, _ = real_inputs(opened, seed)
    params = {k: v.double() if v.is_floating_point() else v for k, v in opened.model.params.items()}
    exact = reference(replace(opened.model, params=params), x)
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
    pictures = model.inputs.kind == "image"
    shaped = x.reshape(-1, *model.inputs.shape) if pictures else x
    inputs = entrance_of_tasks(model).filled(shaped)
    scale = units(model)
    expected = tuple(a / b for a, b in zip(tasks_reference(model, x), scale, strict=True))
    differences = []
    for first, last in batches(len(x)):
        found = run(inputs[first:last])
        scaled = tuple(a.astype(np.float64) / b for a, b in zip(found, scale, strict=True))
        differences.append(difference(scaled, tuple(one[first:last] for one in expected)))
    return Compared(largest(differences), len(x), source)


def real_rows(model: MultiTaskModel, seed: int) -> tuple[np.ndarray, str]:
    """Encoded rows [M, D], float32, of as many tasks as there are."""
    try:
        batches_of = make_rows(model.recipe).numbers("train")[0]
    except (DataError, EnvironmentProblem):
        generator = np.random.default_rng(seed)
        size = (MOST, int(np.prod(model.inputs.shape)))
        if model.inputs.kind == "image":
            return generator.integers(0, 256, size).astype(np.float32), "random pixels"
        return generator.standard_normal(size).astype(np.float32), "random numbers"
    each = max(1, MOST // len(batches_of))
    rows = np.concatenate([one[:each] for one in batches_of]).astype(np.float32)
    if model.inputs.kind == "text":  # kept as places and weights
        rows = unpacked(torch.from_numpy(rows), model.inputs.shape[0]).numpy()
    return rows, "rows of the data"


def spread(model: Learned) -> float:
    """What a difference is measured in: probability, or the standard deviation of the target."""
    return 1.0 if model.kind == "classification" else model.inputs.unscaled.scale


def told(model: Learned, support: Batch) -> np.ndarray:
    """`support_y`: one column for each class, or values in the user's unit."""
    y = support.y.numpy()
    if model.kind == "regression":
        return model.inputs.unscaled.decode(y.astype(np.float64)).astype(np.float32)
    fixed = None if model.learner().any_way else model.way
    return np.eye(fixed or int(y.max()) + 1, dtype=np.float32)[y]


def support_arrays(model: FewShotModel, support: Batch, query: Batch) -> Arrays:
    """The three inputs of a graph with its support inside."""
    entrance = entrance_of(model.inputs)
    support_x, query_x = (entrance.filled(one.x.numpy()) for one in (support, query))
    return support_x, told(model, support), query_x


@torch.no_grad()
def support_reference(model: FewShotModel, support: Batch, query: Batch) -> np.ndarray:
    """What `adapt` and `predict` compute."""
    y = torch.from_numpy(told(model, support))
    x, asked = (one.x.to(torch.float32) for one in (support, query))
    return answer(model, model.problem(), model.params, x, y, asked).numpy()


def batches(total: int) -> list[tuple[int, int]]:
    """Ranges of 1, 2 and 7 inputs from different places, then all of them."""
    sizes = [min(size, total) for size in SIZES]
    starts = [min(sum(sizes[:place]), total - size) for place, size in enumerate(sizes)]
    return [*((at, at + size) for at, size in zip(starts, sizes, strict=True)), (0, total)]


def real_inputs(opened: Opened[AdaptedModel], seed: int) -> tuple[np.ndarray, str]:
    """Inputs [M, ...] to compare on, and what they are."""
    if opened.model.inputs.kind == "image":
        if (x := of_task(opened)) is not None:
            return x, "the task's pictures"
        if (x := of_pool(opened)) is not None:
            return x, "pictures of the training data"
    elif opened.model.inputs.reader is not None:
        if (x := rows_of_task(opened)) is not None:
            return x, "the task's rows"
        tasks, source = real_tasks(opened, seed)
        return np.concatenate([query.x.numpy() for _, query in tasks]), source
    return random_inputs(opened.model, MOST, np.random.default_rng(seed))


def random_inputs(
    model: Learned, count: int, generator: np.random.Generator
) -> tuple[np.ndarray, str]:
    shape = (count, *model.inputs.shape)
    if model.inputs.kind == "image":
        return generator.integers(0, 256, shape, dtype=np.uint8), "random pixels"
    x = generator.standard_normal(shape).astype(np.float32)
    entrance = entrance_of(model.inputs)  # not every number is one that some cell is read as
    with torch.no_grad():
        made: np.ndarray = entrance.module(torch.from_numpy(entrance.filled(x))).numpy()
    return made, "random numbers"


def of_task(opened: Opened[AdaptedModel]) -> np.ndarray | None:
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


def rows_of_task(opened: Opened[AdaptedModel]) -> np.ndarray | None:
    """Texts or rows of the task that the model was adapted to, as numbers."""
    model, place = opened.model, opened.model.provenance.get("task")
    if place is None:
        return None
    try:
        wanted = model.inputs.wanted(model.columns)
        task = load_task(opened.path / place, wanted, skip_bad=True, allow_duplicates=True)
    except DataError:
        return None
    return task.support.x[:: max(1, math.ceil(len(task.support.x) / MOST))]


def readable(model: Learned, rows: list[Row]) -> Iterator[np.ndarray]:
    for row in rows:
        try:
            yield read_image(row.path, model.inputs.image())
        except DataError:
            continue  # adapt --skip-bad went on without it, too


def at_hand(model: Learned) -> bool:
    """Whether the training data can be had without a download and without making them."""
    entry = DATASETS.get(model.recipe.data.source)
    if entry is None or entry.kind == "waves":
        return True
    try:
        return (cache_root() / entry.folder).is_dir()
    except EnvironmentProblem:
        return False


def of_pool(opened: Opened[AdaptedModel]) -> np.ndarray | None:
    """Pictures of the data that the model was trained on, when they are at hand."""
    recipe = opened.model.recipe
    if not isinstance(recipe, FewShotRecipe) or not at_hand(opened.model):
        return None
    try:
        pool = load_pool(recipe, "train")
    except (DataError, EnvironmentProblem):
        return None  # damaged, or moved since
    if pool.example_shape != opened.model.inputs.shape:
        return None
    rows = [rows[0] for rows in pool.rows if len(rows)]
    return pool.store[np.array(rows[:: max(1, math.ceil(len(rows) / MOST))])]


def real_tasks(
    opened: Opened[FewShotModel] | Opened[AdaptedModel], seed: int
) -> tuple[list[tuple[Batch, Batch]], str]:
    """Support and query of three tasks of different sizes, and what they are made of."""
    model = opened.model
    sizes = task_sizes(model)
    recipe = model.recipe
    if isinstance(recipe, FewShotRecipe) and at_hand(model):
        try:
            made = [episode_of(recipe, way, shot) for way, shot in sizes]
        except (DataError, EnvironmentProblem):
            made = []
        if made and all(support.x.shape[1:] == model.inputs.shape for support, _ in made):
            what = "pictures" if model.inputs.kind == "image" else "tasks"
            return made, f"{what} of the training data"
    generator = np.random.default_rng(seed)
    return [random_task(model, way, shot, generator) for way, shot in sizes], (
        "random pixels" if model.inputs.kind == "image" else "random numbers"
    )


def task_sizes(model: Learned) -> list[tuple[int, int]]:
    """Way and shot of each task. A regression's shot is its number of examples."""
    if model.kind == "regression":
        return [(1, 4), (1, 6), (1, 9)]  # a user's tasks are small
    if model.learner().any_way:
        return list(SUPPORTS)
    return [(model.way, shot) for _, shot in SUPPORTS]


def episode_of(recipe: FewShotRecipe, way: int, shot: int) -> tuple[Batch, Batch]:
    source = make_source(recipe, "train", way=way, shot=shot, query=QUERIES, seed=0)
    support, query = source.episode(0)
    return support, query


def random_task(
    model: Learned, way: int, shot: int, generator: np.random.Generator
) -> tuple[Batch, Batch]:
    count = way * shot
    x, _ = random_inputs(model, count + way * QUERIES, generator)
    rows = torch.from_numpy(x)
    if model.kind == "regression":
        y = torch.from_numpy(generator.standard_normal((count, model.way)).astype(np.float32))
    else:
        y = torch.arange(way).repeat_interleave(shot)
    return Batch(rows[:count], y), Batch(rows[count:], torch.empty(0))
