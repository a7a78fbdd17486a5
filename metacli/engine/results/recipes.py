"""What `recipes` returns."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from metacli.engine.results.base import Json, Part, Result


@dataclass(frozen=True)
class RecipeRow(Part):
    """A shipped recipe.

    Args:
        data: the source it learns from.
        minutes: of training, as measured. expect: the score it is to reach.
        measured: what it reached in the committed results.
        summary: the first line of its comments.
    """

    name: str
    kind: str
    data: str
    minutes: float | None
    expect: Mapping[str, Json] | None
    measured: Mapping[str, Json] | None
    summary: str


@dataclass(frozen=True, eq=False)
class RecipeList(Result):
    """All that are shipped."""

    recipes: tuple[RecipeRow, ...]


@dataclass(frozen=True, eq=False)
class RecipeCopy(Result):
    """A recipe that was written to `path`."""

    name: str
    path: Path
