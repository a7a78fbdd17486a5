"""Inputs to compare an exported file on: the user's own where they are still there, else those of
the training data where they are at hand, else random ones.

Shape letters: M examples.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
import torch

from metacli.data.catalogue.registry import DATASETS
from metacli.data.images import read_image
from metacli.data.plain import text_or_none_in
from metacli.data.tables.choice import Choice
from metacli.data.tables.coded import dense, encoded
from metacli.data.user.open import Row, list_task, load_task, survey_task
from metacli.engine.exporting.entrance import entrance_of
from metacli.engine.exporting.texts import MADE_UP
from metacli.engine.models.model import AdaptedModel, FewShotModel, MultiTaskModel
from metacli.engine.models.opening import Opened
from metacli.engine.storage.paths import cache_root
from metacli.engine.training.few_shot.sources import make_source
from metacli.engine.training.few_shot.sources import pool_of as load_pool
from metacli.engine.training.multi_task.build import make_rows
from metacli.errors import DataError, EnvironmentProblem
from metacli.nn.multi_task import unpacked
from metacli.schema.few_shot import FewShotRecipe
from metacli.types import Batch

MOST = 64  # inputs compared
SUPPORTS = ((3, 1), (5, 2), (7, 4))  # way and shot of the tasks that a whole learner is compared on
QUERIES = 3  # of each class

Learned = FewShotModel | AdaptedModel


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


def real_pairs(
    opened: Opened[AdaptedModel], seed: int
) -> tuple[np.ndarray, tuple[np.ndarray, ...], str]:
    """What the network takes [M, ...], the same as a file takes it, and what it is."""
    entrance, encoder = entrance_of(opened.model.inputs), opened.model.inputs.encoder
    if entrance.of_texts is None or encoder is None:
        x, source = real_inputs(opened, seed)
        return x, (entrance.filled(x),), source
    own = texts_of_task(opened)
    texts = own or MADE_UP
    source = "the task's rows" if own else "made-up texts"
    return dense(encoded(texts, encoder)), entrance.of_texts(texts), source


def texts_of_task(opened: Opened[AdaptedModel]) -> tuple[str, ...] | None:
    """Texts of the task that the model was adapted to, when it is still where it was."""
    model, place = opened.model, text_or_none_in(opened.model.provenance, "task")
    if place is None:
        return None
    columns = model.columns  # of a folder of texts they have no names
    choice = Choice(usual_target=columns.target, usual_input=columns.input, whole="text")
    try:
        listing = list_task(opened.path / place, skip_bad=True, choice=choice)
        if listing.kind != "text":
            return None
        texts = listing.tables.support.texts(listing.tables.roles.inputs[0])
    except DataError:
        return None
    return tuple(texts[:: max(1, math.ceil(len(texts) / MOST))])


def real_inputs(opened: Opened[AdaptedModel], seed: int) -> tuple[np.ndarray, str]:
    """Inputs [M, ...] to compare on, and what they are."""
    if opened.model.inputs.kind == "image":
        if (x := of_task(opened)) is not None:
            return x, "the task's images"
        if (x := of_pool(opened)) is not None:
            return x, "images of the training data"
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
    """Images of the task that the model was adapted to, when it is still where it was."""
    place = text_or_none_in(opened.model.provenance, "task")
    if place is None:
        return None
    try:
        listing = survey_task(opened.path / place)
    except DataError:
        return None  # moved or removed since: not a fault of the export
    rows = [*listing.support, *(listing.query or ())]
    images = list(readable(opened.model, rows[:: max(1, math.ceil(len(rows) / MOST))]))
    return np.stack(images) if images else None


def rows_of_task(opened: Opened[AdaptedModel]) -> np.ndarray | None:
    """Texts or rows of the task that the model was adapted to, as numbers."""
    model = opened.model
    place = text_or_none_in(model.provenance, "task")
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
    """Images of the data that the model was trained on, when they are at hand."""
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
            what = "images" if model.inputs.kind == "image" else "tasks"
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
