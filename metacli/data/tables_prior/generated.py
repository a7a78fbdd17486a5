"""Generated small tables, the prior of `tables-prior`: what it has to expect of a table.

A random causal model (`causal`) gives numbers; some become columns (`columns`), and the target is
another of them, a random function of the columns (`functions`), or the class that the roots depend
on. Noise, rare classes and outliers are added. Table i of a seed is the same everywhere.

The generator is version 1: a change of a formula or of a fixed number is a new VERSION.

Shape letters: B tables, M support rows, Q query rows, C columns, N classes.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from metacli.data.draws import Key
from metacli.data.tables_prior.causal import effects, roots, shifted
from metacli.data.tables_prior.columns import Columns, columns_of
from metacli.data.tables_prior.dice import Dice
from metacli.data.tables_prior.functions import target_function, unit
from metacli.errors import DataError

VERSION = 1
FEWEST_ROWS, MOST_ROWS, MOST_COLUMNS, MOST_CLASSES = 5, 200, 20, 10
QUERY = 24  # rows
TOKENS, MOST_TABLES = 16_000, 48  # cells of a group of tables at most, times its classes
CLASSIFIED = 0.6  # share of the groups
NUMBER, CATEGORY, MISSING = 0.0, 1.0, 2.0  # what a cell is
DIGEST = hashlib.sha256(
    f"tables-prior {VERSION}: {MOST_ROWS} {MOST_COLUMNS} {MOST_CLASSES} {QUERY} {TOKENS}".encode()
).hexdigest()


class Shape(NamedTuple):
    """Of all tables of a group; classes is 0 of a regression."""

    tables: int
    support: int
    columns: int
    classes: int


class Tables(NamedTuple):
    """A group of tables of one shape.

    Args:
        cells: float32 [B, M + Q, C, 2], the value and what it is: NUMBER, CATEGORY (the value is
            its number) or MISSING (the value is 0). The first M rows are the support.
        y: labels, or values of a regression, float32 [B, M + Q].
    """

    cells: np.ndarray
    y: np.ndarray
    shape: Shape


@dataclass(frozen=True)
class TableOptions:
    """Nothing about the tables can be set but how many rows they have."""


@dataclass(frozen=True)
class GeneratedTables:
    """A source of groups of tables.

    Args:
        seed: names the stream; plain values only.
    Raises:
        DataError: rows that the generator does not make.
    """

    seed: tuple[str | int, ...] = ("train", 0)
    rows: tuple[int, int] = (FEWEST_ROWS, MOST_ROWS)

    def __post_init__(self) -> None:
        if not FEWEST_ROWS <= self.rows[0] <= self.rows[1] <= MOST_ROWS:
            raise DataError(
                f"generated tables of {self.rows[0]} to {self.rows[1]} rows; wanted "
                f"{FEWEST_ROWS} to {MOST_ROWS}",
                code="data.option",
            )

    @property
    def digest(self) -> str:
        """Fingerprint of the generator."""
        return DIGEST

    def shape_at(self, group: int) -> Shape:
        """What the tables of a group have in common: few rows and few columns more often."""
        dice = Dice(*self.seed, "shape", group)
        support = dice.log_count(*self.rows)
        columns = dice.log_count(1, MOST_COLUMNS) if dice.chance(0.5) else dice.count(2, 14)
        classes = 0
        if dice.chance(CLASSIFIED):
            classes = (2, 3, dice.count(4, MOST_CLASSES))[dice.pick((0.6, 0.22, 0.18))]
            classes = min(classes, max(2, support // 2))
        each = max(1, classes) * (support + QUERY) * (columns + 3)
        return Shape(max(1, min(MOST_TABLES, TOKENS // each)), support, columns, classes)

    def at(self, group: int) -> Tables:
        """Tables of one shape."""
        shape = self.shape_at(group)
        made = [table(shape, *self.seed, group, one) for one in range(shape.tables)]
        cells = np.stack([one[0] for one in made]).astype(np.float32)
        return Tables(cells, np.stack([one[1] for one in made]).astype(np.float32), shape)


def table(shape: Shape, *key: Key) -> tuple[np.ndarray, np.ndarray]:
    """One table: cells [M + Q, C, 2] and y [M + Q]. Two rows of every class at least, one of them
    in the support."""
    dice = Dice(*key)
    rows, classes = shape.support + QUERY, shape.classes
    first = roots(dice, rows, dice.log_count(1, max(2, shape.columns)))
    labels = None
    if classes and dice.chance(0.3):
        labels = by_shares(dice, rows, classes)
        first = unit(shifted(dice, first, labels, classes))
    numbers = effects(dice, first, shape.columns + 1)
    order = dice.order(numbers.shape[1])
    made = columns_of(dice, numbers[:, order[: shape.columns]])
    hidden = numbers[:, order[shape.columns :]]
    if classes:
        if labels is None:
            labels = classes_of(dice, made, hidden, classes)
        y = swapped(dice, labels, classes)
        cells, y = mixed(dice, made, y, shape)
        return cells, y.astype(np.float64)
    return mixed(dice, made, values_of(dice, made, hidden), shape)


def by_shares(dice: Dice, rows: int, classes: int) -> np.ndarray:
    """Labels whose shares differ, int [M]."""
    shares = (-np.log1p(-dice.uniform(classes))) ** dice.one(0.2, 1.2) + 0.05
    edges = np.cumsum(shares / shares.sum())
    return np.minimum(np.searchsorted(edges, dice.uniform(rows)), classes - 1)


def signal_of(dice: Dice, made: Columns, hidden: np.ndarray, outputs: int) -> np.ndarray:
    """What a target is before its noise, [M, outputs]: a number of the model (`outputs` is 1), or a
    function of columns."""
    if outputs == 1 and dice.chance(0.3):
        return unit(hidden[:, [dice.count(0, hidden.shape[1] - 1)]])
    return target_function(dice, made.worth, outputs)


def classes_of(dice: Dice, made: Columns, hidden: np.ndarray, classes: int) -> np.ndarray:
    """Labels that depend on the columns, int [M]: parts of one score, or the largest of several."""
    noise = dice.log(0.03, 1.5) if dice.chance(0.95) else 30.0
    if classes == 2 or dice.chance(0.35):
        score = signal_of(dice, made, hidden, 1)[:, 0]
        score = score + noise * dice.normal(len(score))
        low = 0.5 - dice.one(0.0, 0.4) if classes == 2 else 0.0
        places = low + (1 - 2 * low) * np.sort(dice.uniform(classes - 1))
        cuts = np.sort(score)[(len(score) * places).astype(int)]
        return np.searchsorted(cuts, score, side="right")
    scores = signal_of(dice, made, hidden, classes)
    gumbel = -np.log(1e-12 - np.log(1e-12 + dice.uniform(*scores.shape)))
    scores = scores + dice.one(0.0, 1.0) * dice.normal(classes) + 0.7 * noise * gumbel
    found: np.ndarray = scores.argmax(1)
    return found


def values_of(dice: Dice, made: Columns, hidden: np.ndarray) -> np.ndarray:
    """Values of a regression, [M]."""
    signal = signal_of(dice, made, hidden, 1)[:, 0]
    noise = dice.log(0.02, 2.0) if dice.chance(0.95) else 30.0
    error = dice.normal(len(signal))
    if dice.chance(0.2):  # heavy tails
        error = np.sinh(1.2 * error)
    if dice.chance(0.15):  # noise that depends on a column
        error = error * np.exp(
            dice.one(0.2, 0.8) * made.worth[:, dice.count(0, len(made.category) - 1)]
        )
    y = signal + noise * error
    kind = dice.pick((6.0, 1.2, 0.8, 0.4))
    if kind == 1:
        y = np.exp(dice.one(0.3, 1.2) * np.clip(unit(y[:, None])[:, 0], -4, 4))
    elif kind == 2:
        y = np.round(dice.log(1.0, 6.0) * unit(y[:, None])[:, 0])
    elif kind == 3:
        y = np.maximum(y, np.sort(y)[int(dice.one(0.0, 0.7) * len(y))])
    return y


def swapped(dice: Dice, labels: np.ndarray, classes: int) -> np.ndarray:
    """Labels in a random order of the classes, with two rows of each at least."""
    labels = dice.order(classes)[labels]
    for number in range(classes):
        while (labels == number).sum() < 2:
            most = np.bincount(labels, minlength=classes).argmax()
            labels[np.flatnonzero(labels == most)[dice.count(0, 1)]] = number
    return labels


def mixed(dice: Dice, made: Columns, y: np.ndarray, shape: Shape) -> tuple[np.ndarray, np.ndarray]:
    """Cells and y in a random order of the rows, a row of every class among the first M."""
    order = dice.order(len(y))
    if shape.classes:
        first = [int(order[np.flatnonzero(y[order] == one)[0]]) for one in range(shape.classes)]
        order = np.array([*first, *(row for row in order.tolist() if row not in first)])
    what = np.where(made.missing, MISSING, np.where(made.category, CATEGORY, NUMBER))
    values = np.where(made.missing, 0.0, made.values)
    return np.stack([values, what], -1)[order], y[order]
