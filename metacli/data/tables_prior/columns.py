"""What a table shows of numbers: other scales and shapes, whole numbers, categories, missing cells
and outliers.

Shape letters: M rows, C columns.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from metacli.data.tables_prior.dice import Dice
from metacli.data.tables_prior.functions import unit

MOST_LEVELS = 12  # categories of a column


class Columns(NamedTuple):
    """Args:
    values: float64 [M, C], of a category its number, whose order says nothing.
    category: bool [C]. missing: bool [M, C].
    worth: float64 [M, C], what a target may depend on: of a category a random number for each.
    """

    values: np.ndarray
    category: np.ndarray
    missing: np.ndarray
    worth: np.ndarray


def columns_of(dice: Dice, numbers: np.ndarray) -> Columns:
    """A table of these numbers [M, C]."""
    count = numbers.shape[1]
    values, worth = numbers.copy(), numbers.copy()
    category = np.zeros(count, bool)
    share = dice.one(0.0, 1.0) if dice.chance(0.5) else 0.0
    plain = dice.chance(0.3)
    for at in range(count):
        if dice.chance(share):
            values[:, at], worth[:, at] = leveled(dice, numbers[:, at])
            category[at] = True
        elif not plain:
            values[:, at] = reshaped(dice, numbers[:, at])
            worth[:, at] = values[:, at] if dice.chance(0.5) else numbers[:, at]
    worth = np.clip(unit(worth), -6, 6)
    missing = gone(dice, numbers)
    outliers(dice, values, ~category)
    return Columns(values, category, missing, worth)


def reshaped(dice: Dice, column: np.ndarray) -> np.ndarray:
    """A number in another scale, which keeps most of its order."""
    kind = dice.pick((4.0, 1.2, 0.8, 1.2, 0.6, 0.6))
    if kind == 1:
        column = np.exp(dice.one(0.3, 1.2) * np.clip(column, -4, 4))
    elif kind == 2:
        column = np.sign(column) * np.abs(column) ** dice.one(0.3, 2.5)
    elif kind == 3:  # few whole numbers
        column = np.round(column * dice.log(0.5, 6.0))
    elif kind == 4:  # yes or no
        column = (column > column[dice.count(0, len(column) - 1)]).astype(float)
    elif kind == 5:  # nothing below a threshold
        column = np.maximum(column - column[dice.count(0, len(column) - 1)], 0)
    return column


def leveled(dice: Dice, column: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Categories of a number: which, [M], and what each is worth, [M]."""
    levels = dice.log_count(2, MOST_LEVELS)
    cuts = np.sort(column)[(len(column) * np.sort(dice.uniform(levels - 1))).astype(int)]
    place = np.searchsorted(cuts, column, side="right")
    if dice.chance(0.3):  # some at random
        other = (levels * dice.uniform(len(column))).astype(int)
        place = np.where(dice.uniform(len(column)) < dice.one(), other, place)
    worth = dice.normal(levels) if dice.chance(0.7) else np.arange(levels, dtype=float)
    return dice.order(levels)[place].astype(float), worth[place]


def gone(dice: Dice, numbers: np.ndarray) -> np.ndarray:
    """Which cells are missing: none most often; at random, or where a number is large."""
    rows, count = numbers.shape
    missing = np.zeros((rows, count), bool)
    if dice.chance(0.7):
        return missing
    share = dice.one(0.1, 1.0)
    for at in range(count):
        if not dice.chance(share):
            continue
        part = dice.log(0.01, 0.5)
        if dice.chance(0.75):
            missing[:, at] = dice.uniform(rows) < part
        else:
            along = numbers[:, dice.count(0, count - 1)]
            missing[:, at] = along > np.sort(along)[int((1 - part) * (rows - 1))]
    return missing


def outliers(dice: Dice, values: np.ndarray, number: np.ndarray) -> None:
    """A few cells far away, in place."""
    if dice.chance(0.85) or not number.any():
        return
    where = (dice.uniform(*values.shape) < dice.log(0.002, 0.03)) & number
    values[where] *= dice.log(3.0, 30.0)
