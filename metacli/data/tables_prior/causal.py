"""A random causal model: roots without causes, and layers of effects. Any of its numbers may become
a column or the target, so a target may be cause or effect of a column, or neither.

Shape letters: M rows, D numbers of the model, N classes.
"""

from __future__ import annotations

import numpy as np

from metacli.data.tables_prior.dice import Dice
from metacli.data.tables_prior.functions import activated, unit


def roots(dice: Dice, rows: int, count: int) -> np.ndarray:
    """Independent numbers without a cause, [M, count], each of a distribution of its own."""
    found = dice.normal(rows, count)
    kinds = [dice.pick((5.0, 2.0, 1.0, 1.0)) for _ in range(count)]
    for at, kind in enumerate(kinds):
        if kind == 1:
            found[:, at] = 3.46 * (dice.uniform(rows) - 0.5)
        elif kind == 2:  # heavy tails
            found[:, at] = np.sinh(dice.one(0.5, 1.2) * found[:, at])
        elif kind == 3:  # groups
            centres = dice.normal(dice.count(2, 4))
            member = (len(centres) * dice.uniform(rows)).astype(int)
            found[:, at] = centres[member] + dice.log(0.05, 0.7) * found[:, at]
    return unit(found)


def shifted(dice: Dice, values: np.ndarray, labels: np.ndarray, classes: int) -> np.ndarray:
    """Roots whose mean, and sometimes scale, depends on the class of the row."""
    apart = dice.log(0.3, 3.0) * dice.normal(classes, values.shape[1])
    apart *= dice.uniform(values.shape[1]) < dice.one(0.3, 1.0)
    scale = np.ones((classes, values.shape[1]))
    if dice.chance(0.4):
        scale = np.exp(dice.one(0.1, 0.8) * dice.normal(classes, values.shape[1]))
    found: np.ndarray = scale[labels] * values + apart[labels]
    return found


def effects(dice: Dice, first: np.ndarray, wanted: int) -> np.ndarray:
    """The model's numbers, [M, D] with D of `wanted` or more: the roots and layers that depend on
    all that came before."""
    every, noise = first, dice.log(0.02, 1.0)
    layers = dice.pick((0.25, 1.0, 1.0, 0.5))
    for number in range(layers):
        width = max(2, (wanted - first.shape[1]) // (layers - number) + 1)
        causes = every.shape[1]
        weights = dice.normal(causes, width)
        share = min(1.0, dice.one(1.0, 4.0) / causes)
        weights *= dice.uniform(causes, width) < share
        weights[(causes * dice.uniform(width)).astype(int), np.arange(width)] += 1.0
        z = dice.log(0.7, 2.0) * unit(every @ weights) + 0.7 * dice.normal(width)
        made = unit(activated(dice, z))
        every = np.concatenate([every, unit(made + noise * dice.normal(len(every), width))], 1)
    if every.shape[1] < wanted:
        more = roots(dice, len(every), wanted - every.shape[1])
        every = np.concatenate([every, more], 1)
    return every
