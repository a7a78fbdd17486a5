"""A prediction that is not finite is no answer: which column is to blame."""

from __future__ import annotations

import numpy as np

from metacli.data.files import shown
from metacli.data.tables.coded import Encoder
from metacli.data.tables.encoding import Encoding
from metacli.engine.results.predict import NOT_FINITE, RowError


def not_finite(encoder: Encoder | None, x: np.ndarray) -> RowError:
    """Why the example x [...] has no prediction.

    Args:
        encoder: that made x; None for images.
    """
    message = "its prediction is not a finite number"
    worst = worst_column(encoder, x)
    return RowError(NOT_FINITE, message if worst is None else f"{message}: {worst}")


def worst_column(encoder: Encoder | None, x: np.ndarray) -> str | None:
    """The column of a row that is farthest from what the model knows; None without columns."""
    if not isinstance(encoder, Encoding):
        return None
    away = np.abs(np.nan_to_num(x.reshape(-1).astype(np.float64), nan=np.inf))
    place = int(away.argmax())
    far = f"{away[place]:.3g}" if np.isfinite(away[place]) else "more than 1e38"
    return (
        f"column {shown(encoder.titles[place])} lies {far} standard deviations from the rows that "
        "the model knows"
    )
