"""What an encoder that was fitted to all rows of a task would have made of them, had it been fitted
to a few of them: so that rows which are held out say nothing, not even how rare a word is or how
wide a column.

No text or cell is read again. n-grams have length 1 after they were weighed, so that weighing them
again and making them that long once more is exact; columns are an affine map of themselves.

Shape letters: M rows, F features.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from metacli.data.tables.coded import Encoder
from metacli.data.tables.encoding import DatePart, Encoding, Numeric
from metacli.data.tables.joined_text import JoinedText
from metacli.data.tables.levels import levels_of
from metacli.data.tables.text import HashedText, idf_of

Change = Callable[[np.ndarray], np.ndarray]
"""Encoded rows [M, F] to the same as the other encoder would have encoded them, float32."""


def refit(encoder: Encoder, rows: np.ndarray) -> Change:
    """Args:
    encoder: with which rows were encoded, fitted to more of them.
    rows: those that count, [M, F].
    """
    match encoder:
        case HashedText() if encoder.idf:
            return hashed(encoder, rows)
        case JoinedText() if encoder.hashed.idf:
            width, share = encoder.static.width, encoder.share
            spelled = hashed(encoder.hashed, rows[:, width:])

            def change(x: np.ndarray) -> np.ndarray:
                parts = [x[:, :width], share * spelled(x[:, width:])]
                return np.concatenate(parts, 1).astype(np.float32)

            return change
        case Encoding():
            return columns(encoder, rows)
        case _:
            return unchanged


def unchanged(x: np.ndarray) -> np.ndarray:
    return x


def hashed(encoder: HashedText, rows: np.ndarray) -> Change:
    """n-grams weighed by how rare they are among these rows alone."""
    old = np.array(encoder.idf)
    weights = np.array(idf_of((rows != 0).sum(0), len(rows))) / old
    halves = 1 if encoder.characters == (0, 0) else 2

    def change(x: np.ndarray) -> np.ndarray:
        parts = [scaled_to_1(half) for half in np.split(x * weights, halves, axis=1)]
        result: np.ndarray = (np.concatenate(parts, 1) / np.sqrt(halves)).astype(np.float32)
        return result

    return change


def scaled_to_1(x: np.ndarray) -> np.ndarray:
    length = np.linalg.norm(x, axis=1, keepdims=True)
    return x / np.where(length > 0, length, 1.0)


def columns(encoder: Encoding, rows: np.ndarray) -> Change:
    """Numbers and parts of dates with mean 0 and scale 1 over these rows; words stay."""
    scaled, at = list[tuple[int, bool]](), 0
    for column in encoder.columns:
        if isinstance(column, Numeric | DatePart):
            scaled.append((at, column.missing))
        at += column.width
    places = np.array([place for place, _ in scaled], int)
    every = len(places) == rows.shape[1]
    # By columns, as their statistics are found.
    numbers = (rows if every else rows[:, places]).astype(np.float64, order="F")
    for number, (place, missing) in enumerate(scaled):
        if missing:
            numbers[rows[:, place + 1] > 0, number] = np.nan
    levels = levels_of(numbers)
    means, scales = np.array([o.mean for o in levels]), np.array([o.scale for o in levels])
    rare = [
        (place, missing, level.limit)
        for (place, missing), level in zip(scaled, levels, strict=True)
        if missing or level.limit is not None
    ]

    def change(x: np.ndarray) -> np.ndarray:
        found = x.astype(np.float64)
        if every:
            found -= means
            found /= scales
        else:
            found[:, places] = (found[:, places] - means) / scales
        for place, missing, limit in rare:
            moved = found[:, place] if limit is None else found[:, place].clip(-limit, limit)
            gone = found[:, place + 1] > 0 if missing else np.zeros(len(x), bool)
            found[:, place] = np.where(gone, 0.0, moved)
        return found.astype(np.float32)

    return change
