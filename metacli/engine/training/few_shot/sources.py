"""What a few-shot recipe learns from: its data as pools and tasks, and those as episodes."""

from __future__ import annotations

from typing import Literal, Protocol

import numpy as np
from pydantic import JsonValue

from metacli.algorithms.learner import Learner
from metacli.data.catalogue.registry import DATASETS
from metacli.data.catalogue.registry import make_options as make_options_of_data
from metacli.data.catalogue.sinusoid import SinusoidOptions, Sinusoids
from metacli.data.draws import Key
from metacli.data.few_shot.class_batches import ClassBatches
from metacli.data.few_shot.class_tasks import ClassTaskEpisodes, ClassTasks, Need, without_small
from metacli.data.few_shot.episodes import ClassEpisodes
from metacli.data.few_shot.pools import Pool
from metacli.data.few_shot.read_class_tasks import task_split_of
from metacli.data.few_shot.regression import RegressionEpisodes, RegressionTasks
from metacli.data.few_shot.source import EpisodeSource
from metacli.data.sources import (
    kind_of_tasks,
    load_class_tasks,
    load_pool,
    load_regression_tasks,
)
from metacli.data.tables.encoding import Encoding, Numeric
from metacli.data.tables_prior.generated import MOST_COLUMNS
from metacli.data.user.appearance import appearance_of_stack
from metacli.engine.encoders.pool_features import SEEN, STORED, frozen_of, pool_of_features
from metacli.engine.models.inputs import (
    InputSpec,
    input_of_class_tasks,
    input_of_pool,
    input_of_tasks,
)
from metacli.engine.results.base import Json
from metacli.engine.storage.paths import cache_root
from metacli.errors import DataError
from metacli.schema.few_shot import FewShotRecipe
from metacli.schema.recipe import Recipe
from metacli.schema.values import largest
from metacli.types import Episode

Kind = Literal["classification", "regression"]
KIND: Kind = "classification"
Range = int | tuple[int, int]
VALIDATION_SEED = 0
LOOKED_AT = 128  # training images, evenly spaced over the classes


class Batches(Protocol):
    """What a few-shot run takes its steps on."""

    def meta_batch_at(self, step: int) -> Episode:
        """Support and query of a step, with a leading [B]."""
        ...

    def part_at(self, step: int, begin: int, end: int) -> Episode:
        """Tasks begin .. end-1 of them."""
        ...


def describe_data(recipe: FewShotRecipe) -> tuple[InputSpec, Kind]:
    """What one example looks like and what kind of task it is, without decoding anything."""
    if is_sinusoid(recipe):
        return InputSpec("numbers", sinusoid_options(recipe).input_shape), "regression"
    if has_generated_tables(recipe):
        return input_of_any_table(), KIND
    if has_regression_tasks(recipe):
        return input_of_tasks(regression_tasks_of(recipe, "train")), "regression"
    if has_class_tasks(recipe):
        return input_of_class_tasks(class_tasks_of(recipe, "train"), recipe), KIND
    pool = pool_of(recipe, "train")
    if frozen_of(recipe) is not None and pool.encoder is None:
        return SEEN, KIND
    return input_of_pool(pool, recipe), KIND


def is_sinusoid(recipe: Recipe) -> bool:
    entry = DATASETS.get(recipe.data.source)
    return entry is not None and entry.kind == "waves"


def has_generated_tables(recipe: Recipe) -> bool:
    """Whether each of its tasks is a table with columns of its own."""
    entry = DATASETS.get(recipe.data.source)
    return entry is not None and entry.kind == "tables"


def input_of_any_table() -> InputSpec:
    """Columns in general: what the cells of a table become is known when there is one."""
    columns = tuple(Numeric(f"column {one + 1}", 0.0, 1.0, False) for one in range(MOST_COLUMNS))
    return InputSpec("numbers", (MOST_COLUMNS,), reader=Encoding(columns).as_dict())


def sinusoid_options(recipe: Recipe) -> SinusoidOptions:
    """Raises DataError for options that the data set does not have."""
    entry = DATASETS[recipe.data.source]
    options = make_options_of_data(entry, recipe.data.options)
    assert isinstance(options, SinusoidOptions)  # as of every entry that `is_sinusoid`
    return options


def has_regression_tasks(recipe: Recipe) -> bool:
    """Whether episodes are of regression tasks, not of classes."""
    return kind_of_tasks_of(recipe) == "regression"


def has_class_tasks(recipe: Recipe) -> bool:
    """Whether episodes are of classification tasks, where tasks are what is new."""
    return kind_of_tasks_of(recipe) == "classification"


def kind_of_tasks_of(recipe: Recipe) -> Kind | None:
    """Of the tasks that episodes are drawn from; None for a pool of classes."""
    data = recipe.data
    return kind_of_tasks(data.source, own_options(recipe), cache_root())


def own_options(recipe: Recipe) -> dict[str, JsonValue]:
    """What the recipe says to the data set, and not to the network."""
    return {key: value for key, value in recipe.data.options.items() if key != "invert"}


def class_tasks_of(recipe: Recipe, split: str) -> ClassTasks:
    """The classification tasks of one split."""
    return load_class_tasks(recipe.data.source, split, own_options(recipe), cache_root())


def regression_tasks_of(recipe: Recipe, split: str) -> RegressionTasks:
    """The tasks of one split."""
    return load_regression_tasks(recipe.data.source, split, recipe.data.options, cache_root())


def pool_of(recipe: FewShotRecipe, split: str) -> Pool:
    """The pool of classes of one split."""
    options = own_options(recipe)
    if recipe.data.source not in DATASETS:
        # Each part of a folder that is divided needs this many classes.
        options.setdefault("way", largest(recipe.episodes.way))
    frozen = frozen_of(recipe)
    if frozen is not None and recipe.data.source not in DATASETS:
        options |= STORED
    pool = load_pool(recipe.data.source, split, options, cache_root())
    return pool if frozen is None or pool.encoder else pool_of_features(pool, frozen)


def make_source(
    recipe: FewShotRecipe,
    split: str,
    *,
    way: Range | None = None,
    shot: Range | None = None,
    query: int | None = None,
    seed: int | None = None,
    balanced: bool | None = None,
) -> EpisodeSource:
    """Episodes of one split; what is None is as the recipe says.

    Args:
        seed: None for training, whose episodes follow the run's seed; others depend on what is
            evaluated, not on the run.
    """
    episodes = recipe.episodes
    way, shot, query = way or episodes.way, shot or episodes.shot, query or episodes.query
    training, size = seed is None, recipe.train.meta_batch if seed is None else 1
    key: tuple[Key, ...] = ("train", recipe.seed)
    if is_sinusoid(recipe):
        key = key if training else (seed, "sinusoid", split, way, shot, query)
        known = sinusoid_options(recipe).told
        return Sinusoids(shot, query, key, meta_batch=size, split=split, told=known)
    if has_generated_tables(recipe):
        raise DataError(
            f"the tables of {recipe.data.source} have columns of their own each, and are no "
            "episodes of one kind",
            code="data.no_episodes",
            where=recipe.data.source,
            hint="metacli adapt MODEL DATA measures it on a table of yours",
        )
    if has_regression_tasks(recipe):
        tasks = regression_tasks_of(recipe, split)
        key = key if training else (seed, tasks.digest, shot, query)
        return RegressionEpisodes(tasks=tasks, shot=shot, query=query, seed=key, meta_batch=size)
    if has_class_tasks(recipe):
        key = key if training else (seed, split, way, shot, query, episodes.per)
        return class_task_source(recipe, split, way, shot, query, key, meta_batch=size)
    pool = pool_of(recipe, split)
    return ClassEpisodes(
        pool=pool,
        way=way,
        shot=shot,
        query=query,
        balanced=episodes.balanced if balanced is None else balanced,
        seed=key if training else (seed, pool.digest, split, way, shot, query),
        meta_batch=size,
        shift=episodes.shift if training else 0,
        warp=episodes.warp if training else 0.0,
    )


def class_task_source(
    recipe: FewShotRecipe,
    split: str,
    way: Range,
    shot: Range,
    query: int,
    key: tuple[Key, ...],
    *,
    meta_batch: int = 1,
) -> ClassTaskEpisodes:
    """Episodes of classification tasks. Raises DataError: a range of ways, or tasks that are too
    small and were not to be left out."""
    if not isinstance(way, int):
        message = f"way is a range, {way[0]} to {way[1]}; tasks have one number of classes"
        raise DataError(message, code="data.way", hint="episodes.way=2")
    tasks, per = class_tasks_of(recipe, split), recipe.episodes.per
    if task_split_of(recipe.data.options).skip_small:
        most = shot if isinstance(shot, int) else shot[1]
        tasks = without_small(tasks, Need(way, most, query, per))
    return ClassTaskEpisodes(
        tasks, way, shot, query, per, (*key, tasks.digest) if key[0] != "train" else key, meta_batch
    )


def validation_source(recipe: FewShotRecipe) -> EpisodeSource:
    """The validation episodes, which are the same for every run."""
    asked = recipe.evaluate
    return make_source(
        recipe, "val", way=asked.way, shot=asked.shot, query=asked.query, seed=VALIDATION_SEED
    )


def appearance_of_training(source: EpisodeSource) -> dict[str, Json]:
    """What the images that it draws from look like, for a model's provenance; {} for others."""
    if not isinstance(source, ClassEpisodes) or source.pool.encoder is not None:
        return {}
    rows = source.pool.layout.rows
    at = rows[np.linspace(0, len(rows) - 1, LOOKED_AT).astype(int)]
    return {"appearance": appearance_of_stack(source.pool.images[at]).as_dict()}


def batches_for(learner: Learner, source: EpisodeSource) -> Batches:
    """What a learner is trained on: the episodes, or their images with the pool's labels."""
    if learner.trains_on == "classes" and isinstance(source, ClassEpisodes):
        return ClassBatches(source)
    return source
