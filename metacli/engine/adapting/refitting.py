"""Encoders of a task's own texts and columns are fitted again to every support: what is held out
has no part in how rare a word is, nor in the scale of a column."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from metacli.data.tables.coded import Encoder
from metacli.data.tables.encoding import DatePart, Encoding, Numeric
from metacli.data.tables.refit import refit
from metacli.engine.adapting.built_in import BOTH, NGRAMS
from metacli.engine.adapting.feature_source import COLUMNS, FEATURES
from metacli.engine.adapting.held_out import Predict
from metacli.engine.adapting.source import Source
from metacli.engine.adapting.tables.prior_source import TABLES_PRIOR
from metacli.types import Batch

FITTED = (NGRAMS, BOTH, COLUMNS, FEATURES, TABLES_PRIOR)
"""The sources whose encoder is fitted to the task; that of a model stays what it was."""


def for_support(source: Source, support: Tensor) -> Callable[[Tensor], Tensor]:
    """What makes rows that were read as the source reads them to those of an encoder that was
    fitted to this support [M, ...] alone."""
    encoder = source.inputs.encoder
    if encoder is None or str(source.opened.path) not in FITTED or as_they_are(encoder):
        return lambda x: x
    change = refit(encoder, support.cpu().numpy())
    return lambda x: torch.from_numpy(change(x.cpu().numpy())).to(x)


def as_they_are(encoder: Encoder) -> bool:
    """Whether columns are taken without any scale."""
    return isinstance(encoder, Encoding) and all(
        isinstance(one, Numeric | DatePart) and (one.mean, one.scale) == (0.0, 1.0)
        for one in encoder.columns
    )


def refitted(source: Source, predict: Predict) -> Predict:
    """The same on rows as an encoder of each support would have made them."""

    def answer(support: Batch, x: Tensor) -> Tensor:
        change = for_support(source, support.x)
        return predict(Batch(change(support.x), support.y), change(x))

    return answer
