"""The recipe that was asked for, on other data where some were given; the same for every kind of
recipe."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from metacli.data.catalogue.registry import DATASETS
from metacli.data.user.listing import is_table
from metacli.engine.storage.paths import exists
from metacli.errors import DataError
from metacli.schema.blocks import Data
from metacli.schema.load import Loaded, load, shipped


def choose_recipe(
    recipe: str | None,
    data: str | None,
    words: Sequence[str],
    fitted: Callable[[str], Loaded],
    wanted: str,
) -> Loaded:
    """The recipe that was asked for, with `data` instead of its own; or one that suits `data`.

    Args:
        recipe: or data, for which a recipe is to be chosen.
        words: settings over the recipe.
        fitted: gives a recipe that suits data.
        wanted: what data may be, for the message that there are none.

    Raises:
        RecipeError, UsageProblem: as `schema.load.load`.
        DataError: there are no such data.
    """
    if recipe is not None and data is None and is_data(recipe):
        recipe, data = None, recipe
    if data is None:
        assert recipe is not None  # one of the two was asked for
        return load(recipe, words)
    if data not in DATASETS and not exists(Path(data)):
        raise DataError(
            "no such data set, table or folder",
            code="data.not_found",
            where=data,
            hint=f"{wanted}, or a name of metacli fetch --list",
        )
    return fitted(data) if recipe is None else with_data(load(recipe, words), data)


def is_data(path: str) -> bool:
    """A folder or table that is neither a recipe nor a run, nor called like a shipped recipe."""
    folder = Path(path)
    if not exists(folder):
        return False
    if folder.suffix.lower() not in (".yaml", ".yml") and is_table(folder) and folder.is_file():
        return True
    return path not in dict(shipped()) and folder.is_dir() and not (folder / "recipe.yaml").exists()


def with_data(loaded: Loaded, data: str) -> Loaded:
    """The recipe on other data: options of its own data, and the score it expects, are dropped."""
    given = {key.removeprefix("data.") for key in loaded.overridden if key.startswith("data.")}
    options = {k: v for k, v in loaded.recipe.data.options.items() if k in given}
    source = data if data in DATASETS else str(Path(data).absolute())
    changes = {"data": Data.model_validate({"source": source, **options}), "expect": None}
    header = f"{loaded.name} on other data: {source}"
    return replace(loaded, recipe=loaded.recipe.model_copy(update=changes), header=header)
