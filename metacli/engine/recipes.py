"""`recipes`: what is shipped, one of them fully resolved, or a copy to edit."""

from __future__ import annotations

import json
import re
from pathlib import Path

from metacli.engine.results.base import Json
from metacli.engine.results.recipes import RecipeCopy, RecipeList, RecipeRow
from metacli.engine.storage.writer import write_file
from metacli.errors import BundleError, DataError, EnvironmentProblem, RecipeError
from metacli.schema.load import Loaded, dump, load, shipped
from metacli.schema.recipe import Recipe

MEASURED = "measured.json"


def list_recipes() -> RecipeList:
    """One row per shipped recipe; `summary` is the first line of its comments, `measured` what it
    reached in the committed results."""
    known = measured()
    return RecipeList(tuple(row(load(name), known.get(name)) for name, _ in shipped()))


def measured() -> dict[str, dict[str, Json]]:
    """Score and minutes of shipped recipes, from the file beside them."""
    paths = [path.with_name(MEASURED) for _, path in shipped()[:1]]
    found: dict[str, dict[str, Json]] = json.loads(paths[0].read_bytes()) if paths else {}
    return found


def row(loaded: Loaded, reached: dict[str, Json] | None = None) -> RecipeRow:
    """A recipe in one line, and what it reached."""
    recipe = loaded.recipe
    expect = {} if recipe.expect is None else recipe.expect.model_dump()
    return RecipeRow(
        name=loaded.name,
        kind=recipe.kind,
        data=recipe.data.source,
        minutes=expect.pop("minutes", None) or minutes_in(loaded.header),
        expect=expect or None,
        measured=reached,
        summary=loaded.header.partition("\n")[0].strip(),
    )


def minutes_in(header: str) -> float | None:
    """The first time that the comments of a recipe name: `About 2 minutes on ...`."""
    found = re.search(r"\b(an?|[\d.]+)\s+minutes?\b", header, re.IGNORECASE)
    if found is None:
        return None
    return 1.0 if found[1].lower().startswith("a") else float(found[1])


def show_recipe(name: str) -> str:
    """The recipe as YAML with every default and every `auto` written out.

    Defaults that depend on the data are left as they are where the data were not fetched yet.

    Raises:
        RecipeError: no such recipe, or it is not valid.
    """
    loaded = load(name)
    return dump(resolved(loaded), loaded.header)


def resolved(loaded: Loaded) -> Recipe:
    if loaded.recipe.kind != "meta":
        return loaded.recipe
    from metacli.engine.training.few_shot.build import build_few_shot  # takes long to import

    try:
        return build_few_shot(loaded).recipe
    except (DataError, EnvironmentProblem):  # the data are not here, or there is no cache for them
        return loaded.recipe


def copy_recipe(name: str, dest: str | None = None, force: bool = False) -> RecipeCopy:
    """Write a recipe as it is shipped, comments and all, to `dest` (a file or folder).

    Raises:
        RecipeError: no such recipe.
        BundleError: the file exists and `force` is false.
    """
    source = load(name).path
    if source is None:
        raise RecipeError("no such recipe", code="recipe.not_found", where=name)
    target = Path(dest or f"{source.stem}.yaml").absolute()
    if target.is_dir():
        target = target / f"{source.stem}.yaml"
    if target.exists() and not (force and target.is_file()):
        raise BundleError(
            "already exists", code="output.exists", where=str(target), hint="--force replaces it"
        )
    write_file(target, source.read_bytes())
    return RecipeCopy(name, target)
