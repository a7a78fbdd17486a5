"""`features` as the source of `adapt`: the columns of a table are embeddings already, made by
whatever network, so that there is only a head to fit."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from metacli.data.tables.choice import Choice
from metacli.data.tables.encoding import Encoding, Numeric, fit_target
from metacli.data.tables.targets import target_numbers
from metacli.data.user.listing import TabularTask
from metacli.data.user.open import list_task
from metacli.engine.models.inputs import InputSpec
from metacli.engine.models.model import FewShotModel
from metacli.engine.models.opening import Opened
from metacli.errors import DataError
from metacli.schema.few_shot import FewShotRecipe

FEATURES = "features"


def feature_source(task: Path, choice: Choice) -> Opened[FewShotModel]:
    """A source without a network, for the columns of this very table.

    The numbers are taken as they are: what scales them is learned from the support alone, anew in
    every fold.

    Raises:
        DataError: not a table, or columns that are not numbers.
    """
    listing = list_task(task, choice=choice)
    content: TabularTask | None = listing.content if listing.kind == "table" else None
    if content is None:
        raise DataError(
            f"{task} is no table of numbers, and `{FEATURES}` are columns that are embeddings",
            code="data.mismatch",
            where=str(task),
            hint="give a model, or a network such as resnet18, for pictures and texts",
        )
    names = numeric_columns(content, task)
    encoding = Encoding(tuple(Numeric(name, 0.0, 1.0, missing=False) for name in names))
    target: dict[str, Any] | None = None
    if content.type == "regression":
        values = target_numbers(content.support, content.target)
        target = fit_target(content.target, values, content.unit).as_dict()
    model = FewShotModel(
        recipe=recipe_of(task),
        params={},
        state={},
        inputs=InputSpec("numbers", (len(names),), reader=encoding.as_dict(), target=target),
        kind=content.type,
        way=2,
        provenance={"recipe": FEATURES},
    )
    return Opened(model, Path(FEATURES), None)


def numeric_columns(content: TabularTask, task: Path) -> list[str]:
    """The columns to predict from. Raises DataError for words and for empty cells."""
    names = [name for name in content.roles.inputs if name in content.support.columns]
    odd = [name for name in names if content.roles.kinds.get(name) not in ("numeric", "constant")]
    empty = [
        name for name in names if name not in odd and np.isnan(content.support.numbers(name)).any()
    ]
    if odd or empty or not names:
        which = f"{(odd or empty)[0]!r} {'holds words' if odd else 'has empty cells'}"
        raise DataError(
            f"`{FEATURES}` are numbers in every cell; "
            + (f"column {which}" if names else "there is no column to predict from"),
            code="table.not_features",
            where=str(task),
            hint="--input A,B,C names the columns of the embedding",
        )
    return names


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
