"""`features` as the source of `adapt`: the columns of a table are features already, embeddings made
by whatever network or columns of any kind, so that there is only a head to fit."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from metacli.data.tables.choice import Choice
from metacli.data.tables.columns import is_numbers
from metacli.data.tables.encoding import Encoding, Numeric, Target, fit_encoding, fit_target
from metacli.data.tables.levels import Level, level_of
from metacli.data.tables.targets import target_numbers
from metacli.data.user.listing import TabularTask
from metacli.data.user.open import list_task
from metacli.engine.models.inputs import InputSpec
from metacli.engine.models.model import FewShotModel
from metacli.engine.models.opening import Opened
from metacli.errors import DataError
from metacli.schema.few_shot import FewShotRecipe

FEATURES = "features"
FAR, WIDE = 1e4, 1e6  # means in scales, and scales, that float32 squares without loss


def feature_source(task: Path, choice: Choice) -> Opened[FewShotModel]:
    """A source without a network, for the columns of this very table.

    Numbers are taken as they are: what scales them is learned from the support alone, in every fold
    again. Words, dates and missing cells become numbers first.

    Raises:
        DataError: not a table, or cells that cannot be read.
    """
    listing = list_task(task, choice=choice)
    if listing.content is None or listing.kind != "table":
        raise DataError(
            f"{task} is no table of columns, and `{FEATURES}` are columns",
            code="data.mismatch",
            where=str(task),
            hint="give a model, or a network such as resnet18, for images and texts",
        )
    content = listing.content
    encoding = encoding_of(content)
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
        way=2,
        provenance={"recipe": FEATURES},
    )
    return Opened(model, Path(FEATURES), None)


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
