"""What a learner's own numbers are before training, and the options of a backbone that follow from
the data."""

from __future__ import annotations

import dataclasses

import torch

from metacli.algorithms.learner import Learner
from metacli.algorithms.meta.tables_prior import TablesPrior
from metacli.algorithms.transfer.in_context import PRIOR
from metacli.data.catalogue.table_prior import prior_tensors
from metacli.data.plain import Record
from metacli.data.tables.encoding import Categorical, Encoding
from metacli.engine.models.inputs import InputSpec
from metacli.nn.backbones.cells import Cells
from metacli.nn.backbones.table import Backbone
from metacli.nn.problem import Problem
from metacli.types import Params, State


def own_start(learner: Learner, problem: Problem, params: Params) -> tuple[Params, State]:
    """`learner.init`, with the weights that come with metacli where the learner asks for them.
    Raises DataError for a file of weights that is not the one that is known."""
    own, state = learner.init(problem, params)
    if isinstance(learner, TablesPrior) and learner.start == "trained":
        own |= {
            PRIOR + name: torch.from_numpy(value).to(own[PRIOR + name])
            for name, value in prior_tensors().items()
        }
    return own, state


def columns_of(encoder: Encoding) -> Record:
    """The options of the backbone `cells` for a table that was read so."""
    return {"widths": list(widths_of(encoder)), "categories": list(categories_of(encoder))}


def widths_of(encoder: Encoding) -> tuple[int, ...]:
    return tuple(one.width for one in encoder.columns)


def categories_of(encoder: Encoding) -> tuple[int, ...]:
    return tuple(n for n, one in enumerate(encoder.columns) if isinstance(one, Categorical))


def fitted_to(backbone: Backbone, inputs: InputSpec) -> Backbone:
    """The backbone with what it has to know of the columns that it reads, whatever it was told."""
    encoder = inputs.encoder
    if not isinstance(backbone, Cells) or not isinstance(encoder, Encoding):
        return backbone
    return dataclasses.replace(
        backbone, widths=widths_of(encoder), categories=categories_of(encoder)
    )
