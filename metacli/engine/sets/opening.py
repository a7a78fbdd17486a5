"""Finding a model of sets by what a user calls MODEL: a model folder, a run, or `@last`."""

from __future__ import annotations

from pathlib import Path
from typing import TypeAlias

from metacli.engine.models.named import is_class_model
from metacli.engine.sets.class_adapted import AdaptedClassSet
from metacli.engine.sets.class_folder import already_adapted, load_any, not_adapted
from metacli.engine.sets.class_model import ClassSetModel
from metacli.engine.sets.folder import load
from metacli.engine.sets.model import AdaptedSet, SetModel
from metacli.errors import BundleError

AnySetModel: TypeAlias = SetModel | AdaptedSet | ClassSetModel | AdaptedClassSet


def read_set_model(path: Path) -> AnySetModel:
    """Any model of sets. Raises BundleError for a damaged one."""
    return load_any(path) if is_class_model(path) else load(path)


def open_set_model(path: Path) -> SetModel | AdaptedSet:
    """A model of sets, adapted to one or not. Raises BundleError for a damaged one."""
    require_regressions(path)
    return load(path)


def open_source(path: Path) -> SetModel:
    """A model that adapts to sets. Raises BundleError for one that is adapted already."""
    require_regressions(path)
    found = load(path)
    if isinstance(found, AdaptedSet):
        raise already_adapted(path)
    return found


def open_adapted(path: Path) -> AdaptedSet:
    """A model of one set. Raises BundleError for one that is not adapted yet."""
    require_regressions(path)
    found = load(path)
    if isinstance(found, SetModel):
        raise not_adapted(path, "SET.csv")
    return found


def require_regressions(path: Path) -> None:
    """Raises BundleError for a model of sets of classifications."""
    if is_class_model(path):
        raise BundleError(
            "this model is of sets of classifications, which adapt, predict and evaluate take",
            code="model.kind",
            where=str(path),
            hint=f"metacli evaluate {path}",
        )
