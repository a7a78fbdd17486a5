"""The problems of a recipe, collected while it is made, so that all are reported at once."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import dataclass, field

from metacli.errors import Finding
from metacli.schema.load import Loaded


@dataclass
class Problems:
    """A list of what is wrong with one recipe.

    Args:
        loaded: the recipe, which knows where each of its keys was written.
    """

    loaded: Loaded
    found: list[Finding] = field(default_factory=list)

    def add(
        self, key: str, message: str, hint: str | None = None, *, code: str = "recipe.mismatch"
    ) -> None:
        """One more, placed where the key was written."""
        self.found.append(self.loaded.finding(key, message, code=code, hint=hint))

    def left_over(self, block: str, option: str) -> bool:
        """Whether an option is the recipe's own, of another name than the command line gives this
        block: `sharing.name=hard` over a recipe of mixed effects does not mean its features."""
        given = self.loaded.overridden
        return f"{block}.name" in given and f"{block}.{option}" not in given

    def unknown_name(self, key: str, name: str, known: Sequence[str]) -> None:
        """There is no `name` in the table that a key is looked up in."""
        near = difflib.get_close_matches(name, known, n=1)
        hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(known)}"
        self.add(key, f"unknown {key} {name!r}", hint, code="recipe.unknown_name")

    def raise_any(self) -> None:
        """Raises RecipeError with all of them where there are some."""
        if self.found:
            raise self.loaded.error(self.found)
