"""The last value as a forecast: of rows with dates it is the one before a row in time, and is
scored like that."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from metacli.algorithms.transfer.last_value import LastValue
from metacli.data.tables.dates import Part
from metacli.data.tables.encoding import DatePart, Encoding
from metacli.engine.adapting.source import Source
from metacli.types import Batch

DAYS: dict[Part, float] = {"year": 372.0, "month": 31.0, "day": 1.0, "hour": 1 / 24}
"""In what order moments are, not how far apart."""


def last_value_before(source: Source, support: Batch, x: Tensor) -> Tensor | None:
    """What was last known before each row of x, [M, 1]; None for another head, or without dates."""
    if not isinstance(source.learner, LastValue):
        return None
    times, asked = (times_of(source, one.cpu().numpy()) for one in (support.x, x))
    if times is None or asked is None:
        return None
    return torch.from_numpy(value_before(times, support.y.cpu().numpy(), asked)).to(support.y)


def in_time_order(source: Source, support: Batch) -> Batch:
    """The latest row last where the last value is the answer and rows have dates."""
    if not isinstance(source.learner, LastValue):
        return support
    times = times_of(source, support.x.cpu().numpy())
    if times is None:
        return support
    order = torch.from_numpy(latest_last(times)).to(support.x.device)
    return Batch(support.x[order], support.y[order])


def times_of(source: Source, x: np.ndarray) -> np.ndarray | None:
    """A number for each row of x [M, D] that is larger the later its first date is, NaN where that
    is missing; None for rows without dates."""
    encoder = source.inputs.encoder
    if not isinstance(encoder, Encoding):
        return None
    found, at, name = np.zeros(len(x)), 0, None
    for column in encoder.columns:
        if isinstance(column, DatePart) and name in (None, column.name):
            name = column.name
            value = x[:, at].astype(np.float64) * column.scale + column.mean
            found += DAYS.get(column.part, 0.0) * value
            if column.missing:
                found[x[:, at + 1] > 0] = np.nan
        at += column.width
    return None if name is None else found


def value_before(times: np.ndarray, y: np.ndarray, asked: np.ndarray) -> np.ndarray:
    """Of each time asked for, [m], the value [1] of the latest row before it, the mean where there
    is none; [m, 1].

    Args:
        times: of the rows that are known, [M]; y: their values, [M, 1].
    """
    known = np.flatnonzero(~np.isnan(times))
    order = known[np.argsort(times[known], kind="stable")]
    place = np.searchsorted(times[order], asked, side="left")
    mean = y.mean(0, keepdims=True)
    before = np.concatenate([mean, y[order]])
    return before[np.where(np.isnan(asked), 0, place)]


def latest_last(times: np.ndarray) -> np.ndarray:
    """Row numbers by time, those without one first: what a model of the last value is fitted to."""
    return np.argsort(np.where(np.isnan(times), -np.inf, times), kind="stable")
