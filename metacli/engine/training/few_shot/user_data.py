"""Which recipe `meta-train` runs: the one that was asked for, or one fitted to a user's data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
from pydantic import JsonValue

from metacli.data.catalogue.registry import DATASETS
from metacli.data.few_shot.user_regression import holds_tables
from metacli.data.sources import (
    kind_of_tasks,
    load_class_tasks,
    load_pool,
    load_regression_tasks,
)
from metacli.data.tables.choice import choice_of
from metacli.data.tables.encoding import Encoding
from metacli.data.user.open import list_task
from metacli.engine.events import Note, Reporter
from metacli.engine.sets.own_recipe import sets_recipe, wants_sets
from metacli.engine.storage.paths import cache_root
from metacli.engine.training.user_data import choose_recipe, with_data
from metacli.errors import DataError
from metacli.schema.blocks import Named
from metacli.schema.load import Loaded, load

BASE = "glyphs-anyway-protonet"  # any number of classes and examples
TEXTS = "clinc150-10w5s-r2d2"  # for any number of classes too
REGRESSION = "school-10shot-maml"
NAME = "folder-anyway-protonet"
TABLE_NAME = "table-anyway-protonet"
TEXTS_NAME = "texts-anyway-r2d2"
REGRESSION_NAME = "tables-maml"
TASKS_NAME = "tasks-maml"
HEADERS = {
    NAME: "ProtoNet for any number of classes",
    TABLE_NAME: "ProtoNet for any number of classes of a table's rows",
    TEXTS_NAME: "Ridge regression on texts for any number of classes",
    REGRESSION_NAME: "MAML for regression",
    TASKS_NAME: "MAML for tasks with the same labels",
}
STEPS = 2000
FEW_TASKS = 0.1  # share of the tasks that may be left out for larger episodes
MOST_WAYS, MOST_SHOTS, MOST_QUERIES = 20, 10, 5


def choose(recipe: str | None, data: str | None, words: Sequence[str], report: Reporter) -> Loaded:
    """As `choose_recipe`, for data with classes, with tasks that are regressions, or with sets of
    tasks."""
    own = data if data is not None else recipe
    sets = (recipe is None or data is None) and wants_sets(own, words)
    fit = partial(sets_recipe if sets else fitted, words=words, report=report)
    return choose_recipe(recipe, data, words, fit, "a folder of class folders")


def fitted(data: str, words: Sequence[str], report: Reporter) -> Loaded:
    """A learner for what the data hold, with episodes as large as they allow: a ProtoNet for any
    number of classes, ridge regression of texts, MAML for regression."""
    asked = with_data(load(BASE, words), data).recipe.data
    base, name, shape = chosen(asked.source, asked.options)
    loaded = with_data(load(base, [*shape, *words]), data)
    if name == TABLE_NAME:
        backbone = Named.model_validate({"name": "mlp", "hidden": [64, 64]})
        loaded = replace(loaded, recipe=loaded.recipe.model_copy(update={"backbone": backbone}))
    assert loaded.recipe.kind == "meta"  # as the shipped ones above are
    episodes, steps = loaded.recipe.episodes, loaded.recipe.train.steps
    classes = f"{spoken(episodes.way)} classes of " if name != REGRESSION_NAME else ""
    report(
        Note(
            f"{data} is data: training {name}, {steps} steps of tasks with {classes}"
            f"{spoken(episodes.shot)} examples",
            "recipe.chosen",
        )
    )
    return replace(loaded, name=name, header=f"{HEADERS[name]}, fitted to {asked.source}")


def chosen(source: str, options: Mapping[str, JsonValue]) -> tuple[str, str, list[str]]:
    """The recipe to begin with, the name of what it becomes, and its settings for these data."""
    path = Path(source)
    own = source not in DATASETS
    kind_of_it = kind_of_tasks(source, plain_options(options), cache_root())
    if kind_of_it == "classification":
        return of_class_tasks(source, plain_options(options))
    if kind_of_it == "regression":
        sizes = [10, 12]
        if own:
            tasks = load_regression_tasks(source, "train", options, cache_root())
            val = load_regression_tasks(source, "val", options, cache_root())
            rows = min(len(y) for y in (*tasks.y, *val.y))
            sizes = [min(10, max(1, rows // 2)), min(12, max(1, rows - rows // 2))]
        shot, query = sizes
        return REGRESSION, REGRESSION_NAME, [f"episodes.shot={shot}", f"episodes.query={query}"]
    steps = [f"train.steps={STEPS}", *episode_shape(source, options)]
    kind = DATASETS[source].kind if not own else kind_of_rows(path, options)
    if kind == "text":
        return TEXTS, TEXTS_NAME, [*episode_shape(source, options), "evaluate.way=null"]
    return BASE, TABLE_NAME if kind == "table" else NAME, steps


def plain_options(options: Mapping[str, JsonValue]) -> dict[str, JsonValue]:
    """What is said to the data set, and not to the network."""
    return {key: value for key, value in options.items() if key != "invert"}


def of_class_tasks(source: str, options: Mapping[str, JsonValue]) -> tuple[str, str, list[str]]:
    """MAML with a head that all tasks share where their labels are the same, a ProtoNet otherwise
    and for images, ridge regression for texts; episodes as large as most tasks allow.

    Raises:
        DataError: no task has two rows of two classes.
    """
    parts = [load_class_tasks(source, split, options, cache_root()) for split in ("train", "val")]
    ways = [len(labels) for part in parts for labels in part.labels]
    way = min(ways)
    counts = [part.counts(task).min() for part in parts for task in range(len(part.tasks))]
    rows = int(np.quantile(counts, FEW_TASKS, method="lower"))
    if rows < 2:
        raise DataError(
            f"training needs 2 rows of each class of a task, most tasks have {rows} of the rarest",
            code="data.too_few",
            where=source,
            hint="episodes.per=task counts the rows of all classes of a task together",
        )
    query = min(MOST_QUERIES, max(1, rows // 3))
    shape = [
        "episodes.balanced=true",
        f"episodes.way={way}",
        f"episodes.shot={min(MOST_SHOTS, rows - query)}",
        f"episodes.query={query}",
        f"evaluate.query={query}",
        *(["data.skip_small=true"] if rows > min(counts) else []),
    ]
    steps = [f"train.steps={STEPS}", "evaluate.way=null"]
    if parts[0].encoder is None:
        return BASE, NAME, [*shape, *steps]
    if not isinstance(parts[0].encoder, Encoding):
        return TEXTS, TEXTS_NAME, [*shape, "evaluate.way=null"]
    if parts[0].shared is None:
        return BASE, TABLE_NAME, [*shape, *steps]
    return REGRESSION, TASKS_NAME, shape


def kind_of_rows(path: Path, options: Mapping[str, JsonValue]) -> str:
    """text or table; images for whatever else."""
    return list_task(path, choice=choice_of(options)).kind if holds_tables(path) else "images"


def episode_shape(source: str, options: Mapping[str, JsonValue]) -> list[str]:
    """Overrides for way, shot and query that both the training and the validation classes have."""
    if source in DATASETS:
        return []
    plain = {"way": 2, **{k: v for k, v in options.items() if k != "invert"}}
    pools = [
        load_pool(source, split, plain, cache_root(), lambda *_: None) for split in ("train", "val")
    ]
    classes = min(len(pool.classes) for pool in pools)
    examples = min(len(rows) for pool in pools for rows in pool.rows)
    if classes < 2 or examples < 2:
        raise DataError(
            f"training needs 2 classes with 2 examples in each part, the smallest part has "
            f"{classes} classes, the smallest class {examples}",
            code="data.too_few",
            where=source,
            hint="add examples, or adapt a model that is trained already: metacli adapt",
        )
    way = min(MOST_WAYS, classes)
    query = min(MOST_QUERIES, max(1, examples // 3))
    shot = min(MOST_SHOTS, examples - query)
    return [
        f"episodes.way={span(min(3, way), way)}",
        f"episodes.shot={span(1, shot)}",
        f"episodes.query={query}",
        f"evaluate.query={query}",
    ]


def span(low: int, high: int) -> str:
    return str(low) if low == high else f"[{low}, {high}]"


def spoken(size: int | tuple[int, int]) -> str:
    return str(size) if isinstance(size, int) else f"{size[0]} to {size[1]}"
