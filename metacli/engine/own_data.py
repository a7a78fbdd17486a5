"""Which recipe `meta-train` runs: the one that was asked for, or one fitted to a user's own
folder."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from metacli.data.registry import DATASETS, load_pool
from metacli.engine.events import Notice, Reporter
from metacli.engine.place import cache_root
from metacli.errors import DataError
from metacli.schema.load import Loaded, load, shipped
from metacli.schema.recipe import Data

BASE = "glyphs-anyway-protonet"  # any number of classes and examples
NAME = "folder-anyway-protonet"
STEPS = 2000
MOST_WAYS, MOST_SHOTS, MOST_QUERIES = 20, 10, 5


def choose(
    recipe: str | None,
    data: str | None,
    overrides: Sequence[str],
    seed: int | None,
    report: Reporter,
) -> Loaded:
    """The recipe that was asked for, with `data` in place of its own; or one that suits `data`.

    Raises:
        RecipeError, UsageProblem: as `schema.load.load`.
        DataError: there is no such folder, or it has no classes to learn from.
    """
    words = [*overrides, *([] if seed is None else [f"seed={seed}"])]
    if recipe is not None and data is None and is_data(recipe):
        recipe, data = None, recipe
    if data is None:
        assert recipe is not None
        return load(recipe, words)
    if data not in DATASETS and not Path(data).exists():
        raise DataError(
            "no such data set or folder",
            code="data.not_found",
            where=data,
            hint="a folder of class folders, or a name of metacli fetch --list",
        )
    if recipe is None:
        return fitted(data, words, report)
    return with_data(load(recipe, words), data)


def is_data(path: str) -> bool:
    """A folder that is neither a recipe nor a run, nor called like a shipped recipe."""
    folder = Path(path)
    return path not in dict(shipped()) and folder.is_dir() and not (folder / "recipe.yaml").exists()


def with_data(loaded: Loaded, data: str) -> Loaded:
    """The recipe on other data: options of its own data, and the score it expects, are dropped."""
    given = {key.removeprefix("data.") for key in loaded.overridden if key.startswith("data.")}
    options = {k: v for k, v in loaded.recipe.data.options.items() if k in given}
    source = data if data in DATASETS else str(Path(data).absolute())
    changes = {"data": Data.model_validate({"source": source, **options}), "expect": None}
    header = f"{loaded.name} on other data: {source}"
    return replace(loaded, recipe=loaded.recipe.model_copy(update=changes), header=header)


def fitted(data: str, words: Sequence[str], report: Reporter) -> Loaded:
    """A ProtoNet for any number of classes, with episodes as large as the folder allows."""
    asked = with_data(load(BASE, words), data).recipe.data
    shape = episode_shape(asked.source, asked.options)
    defaults = [f"train.steps={STEPS}", *shape]
    loaded = with_data(load(BASE, [*defaults, *words]), data)
    episodes = loaded.recipe.episodes
    report(
        Notice(
            f"{data} is data: training {NAME}, {loaded.recipe.train.steps} steps of tasks with "
            f"{spoken(episodes.way)} classes of {spoken(episodes.shot)} examples",
            "recipe.chosen",
        )
    )
    header = f"ProtoNet for any number of classes, fitted to {asked.source}"
    return replace(loaded, name=NAME, header=header)


def episode_shape(source: str, options: dict[str, Any]) -> list[str]:
    """Overrides for way, shot and query that both the training and the validation classes have."""
    if source in DATASETS:
        return []
    plain = {"way": 2, **{k: v for k, v in options.items() if k != "invert"}}
    pools = [
        load_pool(source, split, plain, cache_root(), lambda *_: None) for split in ("train", "val")
    ]
    classes = min(len(pool.classes) for pool in pools)
    pictures = min(len(rows) for pool in pools for rows in pool.rows)
    if classes < 2 or pictures < 2:
        raise DataError(
            f"training needs 2 classes with 2 pictures in each part, the smallest part has "
            f"{classes} classes, the smallest class {pictures}",
            code="data.too_few",
            where=source,
            hint="add pictures, or adapt a model that is trained already: metacli adapt",
        )
    way = min(MOST_WAYS, classes)
    query = min(MOST_QUERIES, max(1, pictures // 3))
    shot = min(MOST_SHOTS, pictures - query)
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
