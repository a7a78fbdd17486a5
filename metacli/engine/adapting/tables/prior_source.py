"""`tables-prior` as a source of `adapt`: a network that was meta-trained on generated tables reads
the columns of a table, cell by cell, with its labels. Nothing is fitted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch

from metacli.algorithms.transfer.in_context import PRIOR
from metacli.data.catalogue.table_prior import PRIOR as TRAINED
from metacli.data.catalogue.table_prior import prior_tensors
from metacli.data.plain import Record
from metacli.data.tables.encoding import Encoding
from metacli.engine.adapting.feature_source import column_source
from metacli.engine.adapting.request import Request
from metacli.engine.models.beginnings import columns_of
from metacli.engine.models.model import FewShotModel
from metacli.engine.models.opening import Opened
from metacli.errors import UsageProblem
from metacli.schema.few_shot import FewShotRecipe
from metacli.types import Params

TABLES_PRIOR = "tables-prior"
IN_CONTEXT = "in-context"
MOST_ROWS, MOST_COLUMNS, MOST_CLASSES = 500, 40, 10  # what it is tried on by itself


def prior_source(
    request: Request, trained: Opened[FewShotModel] | None = None
) -> Opened[FewShotModel]:
    """The network for the columns of this very table.

    Args:
        trained: on generated tables; None is the one that comes with metacli.

    Raises:
        DataError: not a table, or cells that cannot be read.
        UsageProblem: columns that become many numbers each, such as texts.
    """
    opened = column_source(request)
    encoder = opened.model.inputs.encoder
    assert isinstance(encoder, Encoding)
    if encoder.wide:
        raise UsageProblem(
            f"{TABLES_PRIOR} reads numbers, dates and categories, and {request.task} has texts or "
            "molecules among its columns",
            hint=f"--input names the columns to read; or leave out {TABLES_PRIOR}",
        )
    recipe = recipe_of(opened.model.recipe.data.source, encoder)
    if trained is not None:
        known = trained.model.provenance
        model = replace(opened.model, recipe=recipe, params=trained.model.params, provenance=known)
        return replace(trained, model=model)
    params = {PRIOR + name: value.to(request.device) for name, value in weights().items()}
    known = {"recipe": TABLES_PRIOR, "weights": TRAINED.name}
    model = replace(opened.model, recipe=recipe, params=params, provenance=known)
    return replace(opened, model=model, path=type(opened.path)(TABLES_PRIOR))


def weights() -> Params:
    """Of the network, float32. Raises DataError for a file that is not the one that is known."""
    return {name: torch.from_numpy(value) for name, value in prior_tensors().items()}


def suits(encoder: Encoding, rows: int, labels: Sequence[str]) -> bool:
    """Whether a table is of a size that it is for."""
    small = rows <= MOST_ROWS and len(encoder.columns) <= MOST_COLUMNS
    return small and len(labels) <= MOST_CLASSES and not encoder.wide


def require_pair(source: str, method: str) -> None:
    """Raises UsageProblem: one of the network and its method without the other."""
    if (source == TABLES_PRIOR) == (method == IN_CONTEXT):
        return
    if method == IN_CONTEXT:
        raise UsageProblem(
            f"--method {IN_CONTEXT} is for the network {TABLES_PRIOR}, not for {source}",
            hint=f"metacli adapt {TABLES_PRIOR} DATA, for the columns of a table",
        )
    raise UsageProblem(
        f"--method {method} is not for {TABLES_PRIOR}, to which nothing is fitted",
        hint=f"metacli adapt columns DATA --method {method}",
    )


def recipe_of(source: str, encoder: Encoding) -> FewShotRecipe:
    """The recipe that a model needs to be made again."""
    backbone: Record = {"name": "cells", **columns_of(encoder)}
    return FewShotRecipe.model_validate(
        {
            "kind": "meta",
            "data": {"source": source},
            "episodes": {"way": 2, "shot": 1, "query": 1},
            "backbone": backbone,
            "algorithm": {"name": IN_CONTEXT},
            "train": {"steps": 1, "chunk": 1},
        }
    )
