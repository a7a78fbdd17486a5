"""Rows outside of what a model has seen: which they are, by which columns, and how much wider an
interval has to be to be honest about them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from metacli.data.files import shown
from metacli.data.tables.coded import Encoder
from metacli.data.tables.encoding import Categorical, DatePart, Encoding, Numeric
from metacli.engine.events import Notice, Reporter
from metacli.engine.models.parts import Span
from metacli.errors import first_names

SLACK = 0.1  # of a number's span: so far beyond its ends is nothing new
FAR = 8.0  # standard deviations, where a model has not recorded its spans
NAMED = 3  # rows, and columns of a row, that are named
MEASURED = (Numeric, DatePart, Categorical)  # of n-grams and fingerprints any row has new ones
CODE = "predict.out_of_range"


@dataclass(frozen=True)
class Outside:
    """Rows against the spans of what was seen.

    Args:
        beyond: by how many spans each number lies outside, float64 [M, F]; 0 within.
        inside: the rows moved to the nearest of what was seen, as x.
    """

    beyond: np.ndarray
    inside: np.ndarray

    @property
    def rows(self) -> np.ndarray:
        """Which rows lie outside, bool [M]."""
        return np.asarray((self.beyond > SLACK).any(1))

    @property
    def wider(self) -> np.ndarray:
        """What an interval's half-width is multiplied by, [M]: 1 within, 2 one span outside."""
        found: np.ndarray = np.where(self.rows, 1 + self.beyond.max(1), 1.0)
        return found


def outside(x: np.ndarray, span: Span | None, encoder: Encoder | None) -> Outside | None:
    """Rows x [M, F] of a table; None for other inputs."""
    if not isinstance(encoder, Encoding) or x.ndim != 2:
        return None
    low = np.full(x.shape[1], -FAR) if span is None else span.low
    high = np.full(x.shape[1], FAR) if span is None else span.high
    width = np.where(high > low, high - low, 1.0)
    wide = np.nan_to_num(x.astype(np.float64))
    counts = np.concatenate(
        [np.full(one.width, isinstance(one, MEASURED)) for one in encoder.columns]
    )
    beyond = np.where(counts, np.maximum(np.maximum(low - wide, wide - high), 0.0) / width, 0.0)
    return Outside(beyond, np.where(counts, np.clip(wide, low, high), wide).astype(x.dtype))


def columns_outside(encoder: Encoding, beyond: np.ndarray) -> str:
    """The columns of one row [F] that lie outside, the farthest first."""
    order = [at for at in np.argsort(-beyond) if beyond[at] > SLACK]
    names = list(dict.fromkeys(shown(encoder.titles[at].partition(": ")[0]) for at in order))
    return first_names(names, NAMED)


@dataclass
class Seen:
    """What was met while predicting, to be said once."""

    rows: int = 0
    total: int = 0
    named: tuple[str, ...] = ()

    def add(self, names: Sequence[str], found: Outside | None, encoder: Encoder | None) -> None:
        self.total += len(names)
        if found is None or not isinstance(encoder, Encoding):
            return
        for at in np.flatnonzero(found.rows):
            self.rows += 1
            if len(self.named) < NAMED:
                columns = columns_outside(encoder, found.beyond[at])
                self.named = (*self.named, f"{names[int(at)]} ({columns})")

    def report(self, report: Reporter, *, intervals: bool) -> None:
        """A warning that names the first rows and their columns."""
        if not self.rows:
            return
        more = ", ..." if self.rows > len(self.named) else ""
        wider = "; their intervals are wider" if intervals else ""
        message = (
            f"{self.rows} of {self.total} rows lie outside of what the model has seen, so its "
            f"answers are guesses{wider}: {', '.join(self.named)}{more}"
        )
        report(Notice(message, CODE))
