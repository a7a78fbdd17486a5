"""Plug-ins that a recipe names: which are allowed, and which versions a run depends on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from metacli.algorithms import ALGORITHMS, canonical
from metacli.data.catalogue.entries import DataSet
from metacli.data.catalogue.registry import DATASETS
from metacli.errors import PluginError
from metacli.nn.backbones.table import BACKBONES
from metacli.plugins import allow, allowed, load, named_in, package_of, version_of
from metacli.schema.recipe import Recipe


def plugins_of(recipe: Recipe) -> dict[str, str]:
    """Names of other packages' things in a recipe, and their import paths."""
    blocks = recipe.plain()
    aliases = {alias for entry in ALGORITHMS.values() for alias in entry.aliases}
    known = frozenset({*ALGORITHMS, *BACKBONES, *DATASETS, *map(canonical, aliases), *aliases})
    return named_in(blocks, known)


def allow_asked_for(recipe: Recipe, given: str | None) -> None:
    """Let the plug-ins of a recipe be imported from now on: a user named them in a file or on the
    command line. A folder as recipe is a run, which may come from anywhere and allows nothing.

    Args:
        given: what the user called the recipe.

    Raises:
        PluginError: a data set that is not there, or is none.
    """
    if given is None or not Path(given).is_dir():
        allow(*map(package_of, plugins_of(recipe).values()))
    install_data(recipe)


def install_data(recipe: Recipe) -> None:
    """Put a data set of another package among the known ones, where it is allowed."""
    source = recipe.data.source
    path = plugins_of(recipe).get(source)
    if path is None or not allowed(package_of(path)):
        return
    found = load(path)
    if not isinstance(found, DataSet):
        raise PluginError(
            f"the plug-in {path} is not a data set",
            code="plugin.kind",
            hint="an instance of metacli.data.catalogue.entries.DataSet",
        )
    DATASETS[source] = replace(found, name=source)


def versions_of_plugins(recipe: Recipe) -> dict[str, dict[str, str]]:
    """For a model's provenance: {"plugins": {name: version}}; {} where there are none."""
    found = {name: version_of(path) for name, path in plugins_of(recipe).items()}
    return {"plugins": found} if found else {}


def changed_plugins(recipe: Recipe, provenance: Mapping[str, object]) -> list[str]:
    """Sentences about plug-ins that are not of the version that a model was made with."""
    before = provenance.get("plugins")
    if not isinstance(before, Mapping):
        return []
    now = {name: version_of(path) for name, path in plugins_of(recipe).items()}
    return [
        f"this model was made with {name} of version {before[name]}, found is {version}"
        for name, version in now.items()
        if name in before and before[name] != version
    ]
