"""What can be known to be wrong before torch is imported: paths and recipes that are not there.

A wrong word is answered in a fraction of a second. Everything else is left to the engine, which
checks these again."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from metacli.cli.complete import DATA_SETS
from metacli.engine.storage.paths import NAMED, exists, find_run_or_model
from metacli.errors import DataError


def require_paths(words: Iterable[str], hint: str | None = None) -> None:
    """Each word is a file or a folder; `-` is stdin.

    Raises:
        DataError: nothing of that name.
    """
    for word in words:
        if word != "-" and not (word and exists(Path(word))):
            raise DataError(
                "no such file or folder", code="data.missing", where=word or "''", hint=hint
            )


def require_data(word: str | None) -> None:
    """A data set by name, a file or a folder. Raises DataError."""
    if word is not None and word not in DATA_SETS and _is_path(word):
        require_paths([word])


def require_models(words: Iterable[str]) -> None:
    """`@last`, `@model` and words with a separator in them are runs or models on this disk; a bare
    word may be a backbone's name, which the engine knows.

    Raises:
        BundleError: nothing of that name.
    """
    for word in words:
        if word in NAMED or _is_path(word):
            find_run_or_model(word)


def require_recipe(word: str | None, overrides: Sequence[str]) -> None:
    """A recipe by name or file is read and checked as a whole; folders, tables and data sets are
    for the engine.

    Raises:
        RecipeError: not found or not valid.
        UsageProblem: an override without `=`.
    """
    if word is None or word in DATA_SETS or word in NAMED:
        return
    path = Path(word)
    if exists(path) and path.suffix.lower() not in (".yaml", ".yml"):
        return
    from metacli.schema.load import load  # `--help` does without YAML and pydantic

    load(word, overrides)


def _is_path(word: str) -> bool:
    return "/" in word or word.startswith(".")
