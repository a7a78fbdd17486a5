"""Sources of sets of classifications, by name or of a user's own files, for the parts of a
recipe."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, Protocol

import numpy as np

from metacli.data.catalogue.registry import DATASETS
from metacli.data.few_shot.feature_rows import FeatureRows
from metacli.data.few_shot.pools import Store
from metacli.data.files import mode_of
from metacli.data.sets.by_name import CLASS_SETS, ClassOptions
from metacli.data.sets.classes import ClassGroups, ClassSets
from metacli.data.sets.own_episodes import OwnEpisodes
from metacli.data.sets.own_files import OwnSets
from metacli.data.sets.own_tasks import OwnData, read_own
from metacli.data.sets.sources import SETS
from metacli.data.tables.coded import CodedRows, is_text
from metacli.engine.encoders.pool_features import (
    SEEN,
    SEES,
    features_of_images,
    frozen_of,
    rows_of_features,
)
from metacli.engine.events import Reporter, ignore
from metacli.engine.models.inputs import InputSpec
from metacli.engine.sets.class_model import ClassFacts, TaskKinds
from metacli.engine.storage.paths import cache_root
from metacli.engine.training.options import parsed
from metacli.errors import DataError
from metacli.schema.meta_multi_task import MetaMultiTaskRecipe
from metacli.types import SetEpisode

GROUP, QUERIES, POINTS = 16, 5, 10
Split = Literal["train", "val", "test"]
Span = int | tuple[int, int]


class LabelledSets(Protocol):
    """Sets whose tasks may be classifications, addressed by index."""

    @property
    def digest(self) -> str:
        """Fingerprint of what is drawn from."""
        ...

    @property
    def meta_batch(self) -> int:
        """B."""
        ...

    def shape_at(self, step: int) -> tuple[int, ...]:
        """(T, N, K) of a meta-batch, or (T, M) where tasks are of unequal classes."""
        ...

    def meta_batch_at(self, step: int) -> SetEpisode:
        """Sets step*B .. step*B+B-1, with a leading [B]."""
        ...


@dataclass(frozen=True)
class AskedSets:
    """What is asked of the sets of validation or test, None being the recipe's.

    Args:
        tasks: T. size: examples of each class, or support rows of a task. query: per class, or of a
        task. group: sets of a meta-batch.
    """

    tasks: int | None = None
    size: int | None = None
    query: int | None = None
    seed: int = 0
    group: int = GROUP


USUAL = AskedSets()


def is_own(source: str) -> bool:
    """Whether a source is a path; names come first."""
    if source in CLASS_SETS or source in SETS or source in DATASETS:
        return False
    return "/" in source or bool(mode_of(Path(source)))


def has_classes(recipe: MetaMultiTaskRecipe) -> bool:
    """Whether the tasks of its source may be classifications."""
    return recipe.data.source in CLASS_SETS or is_own(recipe.data.source)


def class_source(
    recipe: MetaMultiTaskRecipe, split: Split, asked: AskedSets = USUAL, report: Reporter = ignore
) -> LabelledSets:
    """The sets of a split: of training as the recipe says; otherwise as large as asked for, of as
    many tasks as the source has, and of the recipe's largest way and smallest shot.

    Raises:
        DataError: not fetched, not readable, or a size that the source does not have.
    """
    if is_own(recipe.data.source):
        return own_source(recipe, own_data(recipe, split, report), split, asked)
    sizes, pool = recipe.sets, groups_of(recipe, split, report)
    assert sizes.tasks is not None
    assert sizes.way is not None
    assert sizes.shot is not None
    if split == "train":
        return ClassSets(
            *(pool, sizes.tasks, sizes.way, sizes.shot, sizes.query),
            seed=("train", recipe.seed),
            meta_batch=recipe.train.meta_batch,
        )
    way, fewest = ends(sizes.way)[1], ends(sizes.shot)[0]
    if split == "val" and isinstance(recipe.evaluate.shot, int):
        fewest = recipe.evaluate.shot
    return ClassSets(
        pool,
        asked.tasks or min(ends(sizes.tasks)[1], most_tasks(pool, way)),
        way,
        asked.size or fewest,
        asked.query or recipe.evaluate.query or min(sizes.query, QUERIES),
        seed=(split, asked.seed),
        meta_batch=asked.group,
    )


def own_source(
    recipe: MetaMultiTaskRecipe, data: OwnData, split: Split, asked: AskedSets
) -> OwnEpisodes:
    """As `class_source`, of a user's files; where fewer tasks are there than the recipe's most, of
    those."""
    sizes = recipe.sets
    assert sizes.tasks is not None
    assert sizes.points is not None
    if split == "train":
        return OwnEpisodes(
            *(data, sizes.tasks, sizes.points, sizes.query),
            seed=("train", recipe.seed),
            meta_batch=recipe.train.meta_batch,
        )
    largest = max(len(one.tasks) for one in data.sets)
    least, most = ends(sizes.tasks)
    low, high = ends(sizes.points)
    wanted = recipe.evaluate.shot if isinstance(recipe.evaluate.shot, int) else None
    return OwnEpisodes(
        data,
        asked.tasks or (min(least, largest), min(most, largest)),
        asked.size or wanted or min(max(POINTS, low), high),
        asked.query or recipe.evaluate.query or sizes.query,
        seed=(split, asked.seed),
        meta_batch=asked.group,
    )


def own_data(recipe: MetaMultiTaskRecipe, split: str, report: Reporter) -> OwnData:
    """A user's sets; of images that a frozen encoder sees, their features. Raises DataError."""
    data, frozen = as_read(recipe, split), frozen_of(recipe)
    if frozen is None or data.kind != "image":
        return data
    return replace(data, store=features_of_images(data.store, frozen, report, fitted=True))


def as_read(recipe: MetaMultiTaskRecipe, split: str) -> OwnData:
    """A user's sets, images as the recipe's network sees them. Raises DataError."""
    spec = None if frozen_of(recipe) is None else SEES
    return read_own(Path(recipe.data.source), parsed(OwnSets, recipe.data.options), split, spec)


def groups_of(recipe: MetaMultiTaskRecipe, split: str, report: Reporter) -> ClassGroups:
    """What the sets of a split are drawn from; of images that a frozen encoder sees, their
    features. Raises DataError."""
    named = CLASS_SETS[recipe.data.source]
    options: ClassOptions = parsed(named.options, recipe.data.options)
    pool, frozen = named.load(split, options, cache_root()), frozen_of(recipe)
    if frozen is None or not is_image(pool.store):
        return pool
    if pool.relation == "styles":
        raise DataError(
            "every set draws styles of its own, and backbone frozen keeps the "
            "features of images as they are",
            code="data.mismatch",
            where=recipe.data.source,
            hint="backbone.name=conv4",
        )
    rows = (rows for group in pool.groups for task in group for rows in task.rows)
    return replace(pool, store=rows_of_features(np.asarray(pool.store), rows, frozen, report))


def images_of(recipe: MetaMultiTaskRecipe) -> np.ndarray | None:
    """Validation images of a user's sets as a frozen encoder sees them, uint8 [M, 3, H, W]; None
    where the source is another, or the encoder. Raises DataError: they are not there any more."""
    if frozen_of(recipe) is None or not is_own(recipe.data.source):
        return None
    return as_read(recipe, "val").store


def is_image(store: Store) -> bool:
    return isinstance(store, np.ndarray) and store.dtype == np.uint8


def most_tasks(pool: ClassGroups, way: int) -> int:
    """The most tasks of a set, at least 1."""
    if pool.relation == "tasks":
        return max(len(group) for group in pool.groups)
    if pool.relation == "divided":
        return max(1, max(len(group[0].classes) for group in pool.groups) // way)
    return 8


def ends(span: Span) -> tuple[int, int]:
    return (span, span) if isinstance(span, int) else span


def facts_of(source: LabelledSets) -> ClassFacts:
    """What a model has to know of its tasks."""
    if isinstance(source, OwnEpisodes):
        return facts_of_own(source)
    assert isinstance(source, ClassSets)
    pool, store = source.pool, source.pool.store
    if isinstance(store, CodedRows):
        kind: Literal["text", "numbers"] = "text" if is_text(store.rows) else "numbers"
        inputs = InputSpec(kind, pool.example_shape, reader=store.encoder.as_dict())
    elif isinstance(store, FeatureRows):
        inputs = SEEN
    elif is_image(store):
        inputs = InputSpec("image", pool.example_shape, pool.ink)
    else:
        reader = None if pool.encoder is None else pool.encoder.as_dict()
        inputs = InputSpec("numbers", pool.example_shape, reader=reader)
    return ClassFacts(inputs, source.fixed_way, pool.shared_labels, positive=pool.positive)


def facts_of_own(source: OwnEpisodes) -> ClassFacts:
    data = source.data
    shape = tuple(int(size) for size in data.store.shape[1:])
    reader = None if data.encoder is None else data.encoder.as_dict()
    inputs = InputSpec(data.kind, shape, reader=reader)
    if data.kind == "image" and len(shape) == 1:
        inputs = SEEN
    kind: TaskKinds = "mixed"
    if len(data.kinds) == 1:
        kind = "regression" if "regression" in data.kinds else "classification"
    return ClassFacts(inputs, None, data.shared_labels, kind, dict(data.levels))
