"""`features` and `columns` as sources of `adapt`: the columns of a table are features already, so
that there is only a head to fit. `features` takes numbers as they are, as embeddings made by
whatever network want it; `columns` brings each to mean 0 and scale 1, as columns of different units
want it."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from metacli.data.tables.columns import is_numbers
from metacli.data.tables.encoding import Encoding, Numeric, Target
from metacli.data.tables.fitting import fit_encoding, fit_target
from metacli.data.tables.levels import Level, level_of
from metacli.data.tables.targets import target_numbers
from metacli.data.user.listing import TabularTask
from metacli.engine.adapting.reading import listing_of
from metacli.engine.adapting.request import Request
from metacli.engine.models.inputs import InputSpec
from metacli.engine.models.model import FewShotModel
from metacli.engine.models.opening import Opened
from metacli.errors import DataError
from metacli.schema.few_shot import FewShotRecipe

FEATURES = "features"
COLUMNS = "columns"
FAR, WIDE = 1e4, 1e6  # means in scales, and scales, that float32 squares without loss


def feature_source(request: Request) -> Opened[FewShotModel]:
    """A source without a network, for the columns of this very table.

    Numbers are taken as they are: what scales them is learned from the support alone, in every fold
    again. Words, dates and missing cells become numbers first.

    Raises:
        DataError: not a table, or cells that cannot be read.
    """
    content = columns_of(request, FEATURES)
    return opened(FEATURES, request.task, content, encoding_of(content))


def column_source(request: Request) -> Opened[FewShotModel]:
    """The same with every column at mean 0 and scale 1 over the support, whatever the target.

    Raises:
        DataError: not a table, or cells that cannot be read.
    """
    content = columns_of(request, COLUMNS)
    kinds = {name: content.roles.kinds[name] for name in content.roles.inputs}
    return opened(COLUMNS, request.task, content, fit_encoding([content.support], kinds))


def columns_of(request: Request, name: str) -> TabularTask:
    """The tables of a task. Raises DataError for anything else."""
    listing, task = listing_of(request), request.task
    if listing.content is None or listing.kind != "table":
        raise DataError(
            f"{task} is no table of columns, and `{name}` are columns",
            code="data.mismatch",
            where=str(task),
            hint="give a model, or a network such as resnet18, for images and texts",
        )
    return listing.content


def opened(name: str, task: Path, content: TabularTask, encoding: Encoding) -> Opened[FewShotModel]:
    """A model that is not adapted, for these columns and their target."""
    target: Target | None = None
    if content.type == "regression":
        values = target_numbers(content.support, content.target)
        target = fit_target(content.target, values, content.unit)
    model = FewShotModel(
        recipe=recipe_of(task),
        params={},
        state={},
        inputs=InputSpec("numbers", (encoding.width,), reader=encoding.as_dict(), target=target),
        kind=content.type,
        way=2 if target is None else 1,
        provenance={"recipe": name},
    )
    return Opened(model, Path(name), None)


def encoding_of(content: TabularTask) -> Encoding:
    """Columns that are numbers in every cell as they are, as embeddings; a table with words, dates,
    missing cells or numbers that float32 does not tell apart by the values and statistics of its
    support."""
    table, roles = content.support, content.roles
    kinds = {name: roles.kinds[name] for name in roles.inputs}
    whole = all(
        kind == "numeric" or (kind == "constant" and is_numbers(table, name))
        for name, kind in kinds.items()
    )
    if whole and not any(np.isnan(table.numbers(name)).any() for name in kinds):
        levels = {name: level_of(table.numbers(name)) for name in kinds}
        if all(is_plain(one) for one in levels.values()):
            return Encoding(tuple(Numeric(name, 0.0, 1.0, missing=False) for name in kinds))
    return fit_encoding([table], kinds)


def is_plain(level: Level) -> bool:
    """Whether the network's float32 tells the column's numbers apart as they are."""
    near = abs(level.mean) <= FAR * level.scale
    return near and 1 / WIDE <= level.scale <= WIDE and not level.wild


def recipe_of(task: Path) -> FewShotRecipe:
    """The recipe that a model needs to be made again."""
    return FewShotRecipe.model_validate(
        {
            "kind": "meta",
            "data": {"source": task.name or FEATURES},
            "episodes": {"way": 2, "shot": 1, "query": 1},
            "backbone": {"name": "linear"},
            "algorithm": {"name": "linear-probe"},
            "train": {"steps": 1, "chunk": 1},
        }
    )
