"""The one door for data by name or by path: a data set of the registry, or a user's own files."""

from __future__ import annotations

import json
from dataclasses import fields
from functools import lru_cache
from pathlib import Path
from typing import Protocol, runtime_checkable

from metacli.data.cache.store import Report, silent
from metacli.data.catalogue.options import check_options
from metacli.data.catalogue.registry import DATASETS, find, make_options, resolve
from metacli.data.few_shot import user_images, user_regression
from metacli.data.few_shot.class_tasks import ClassTasks
from metacli.data.few_shot.pools import Pool
from metacli.data.few_shot.read_class_tasks import class_tasks, task_split_of, without_task_split
from metacli.data.few_shot.regression import RegressionTasks
from metacli.data.files import mode_of, scan
from metacli.data.multi_task.dataset import MultiTaskData
from metacli.data.multi_task.from_user import UserMultiTaskOptions, user_multi_task
from metacli.data.plain import Record
from metacli.data.tables.choice import TaskType, choice_of
from metacli.data.user.open import survey_task
from metacli.errors import DataError


@runtime_checkable
class SplitOptions(Protocol):
    """What the options of every set of tasks say, whatever else they hold.

    Args:
        split_seed: names the split into training, validation and test rows.
        rows: of each task in a training step; 0 takes all of them.
    """

    @property
    def split_seed(self) -> int: ...
    @property
    def rows(self) -> int: ...


def is_path(source: str) -> bool:
    """Whether a recipe's `data.source` is a path; a name of the registry comes first."""
    return source not in DATASETS and ("/" in source or bool(mode_of(Path(source))))


def load_pool(
    source: str, split: str, options: Record, cache: Path, report: Report = silent
) -> Pool:
    """The classes of a split of a data set, or of a user's own folder of images.

    Args:
        source: a name in DATASETS, or the path of a folder with class folders.
        options: of the data set; for a folder see `metacli.data.few_shot.user_images`.
        cache: the cache's root.
    Raises:
        DataError: unknown name, split or option; not fetched yet; a folder without classes.
    """
    if is_path(source):
        return user_images.pool(Path(source), split, options, cache, report)
    found = find(source)
    if found.kind not in ("images", "text"):
        message = f"{source} has {found.kind}, not classes of images or texts"
        raise DataError(message, code="data.no_classes", hint="metacli recipes lists what uses it")
    made = resolve(found.loader)(split, make_options(found, options), cache, report)
    assert isinstance(made, Pool)  # as every entry of these kinds
    return made


def load_multi_task(
    source: str, options: Record, cache: Path, report: Report = silent
) -> tuple[MultiTaskData, SplitOptions]:
    """The tasks of a data set, or of a user's own files, and its options, checked.

    Raises:
        DataError: unknown name or option, not a set of tasks, or not fetched yet.
    """
    if is_path(source):
        said = check_options("a set of tasks", UserMultiTaskOptions, options)
        return user_multi_task(Path(source), said, report), said
    found = find(source)
    if found.kind != "tasks":
        message = f"{source} has {found.kind}, not a table of tasks"
        known = ", ".join(name for name, one in DATASETS.items() if one.kind == "tasks")
        own = f"./{source} is what lies there; " if mode_of(Path(source)) else ""
        raise DataError(message, code="data.no_tasks", hint=f"{own}sets of tasks are {known}")
    made = make_options(found, options)
    table = resolve(found.loader)(made, cache, report)
    assert isinstance(table, MultiTaskData)  # as every entry of this kind
    assert isinstance(made, SplitOptions)
    return table, made


def load_regression_tasks(source: str, split: str, options: Record, cache: Path) -> RegressionTasks:
    """The tasks of one split.

    Raises:
        DataError: not fetched yet, tasks of classes, too few tasks, or cells that are no numbers.
    """
    if source not in DATASETS:
        return user_regression.user_regression_tasks(Path(source), split, choice_of(options))
    table, _ = load_multi_task(source, options, cache)
    return user_regression.named_regression_tasks(table, split)


def kind_of_tasks(source: str, options: Record, cache: Path) -> TaskType | None:
    """What the tasks of a set are, where tasks are what is new; None for a pool of classes.

    Raises:
        DataError: not fetched yet, or as `list_task`.
    """
    if source in DATASETS:
        if DATASETS[source].kind != "tasks":
            return None
        kinds = set(tasks_with_cells(source, options, cache).kinds)
        return "regression" if kinds == {"regression"} else "classification"
    path, choice = Path(source), choice_of(options)
    if not user_regression.holds_tables(path) and not has_folders_in_folders(path):
        return None
    listing = survey_task(path, choice)
    if listing.what != "tasks":
        return None
    numbers = [
        one.content is not None and one.tables.type == "regression" for one in listing.children
    ]
    return "regression" if all(numbers) else "classification"


def has_folders_in_folders(path: Path) -> bool:
    """Whether a folder may hold tasks of class folders: a look at names alone."""
    try:
        return path.is_dir() and any(scan(path / one).folders for one in scan(path).folders)
    except DataError:
        return False  # whoever opens it says why


def load_class_tasks(source: str, split: str, options: Record, cache: Path) -> ClassTasks:
    """The tasks of one split.

    Raises:
        DataError: not fetched yet, tasks that are no classifications, or too few tasks.
    """
    return class_tasks(tasks_with_cells(source, options, cache), split, task_split_of(options))


def tasks_with_cells(source: str, options: Record, cache: Path) -> MultiTaskData:
    """All tasks of a set; a set of the catalogue is kept for a while, as a run asks for it several
    times."""
    own = without_task_split(options)
    if source in DATASETS:
        return _named_tasks(source, json.dumps(own, sort_keys=True), cache)
    known = {one.name for one in fields(UserMultiTaskOptions)}
    return load_multi_task(source, {k: v for k, v in own.items() if k in known}, cache)[0]


@lru_cache(maxsize=2)
def _named_tasks(source: str, options: str, cache: Path) -> MultiTaskData:
    return load_multi_task(source, json.loads(options), cache)[0]
