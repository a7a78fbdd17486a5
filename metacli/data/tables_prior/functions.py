"""Random functions of a table's columns, each from x [M, D] to values [M, S] of about unit scale.

Shape letters: M rows, D columns, S outputs (scores of classes, or one number), R random features.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from metacli.data.tables_prior.dice import Dice

Function = Callable[[Dice, np.ndarray, int], np.ndarray]


def unit(values: np.ndarray) -> np.ndarray:
    """Each column at mean 0 and variance 1; a constant one at 0."""
    centred = values - values.mean(0)
    scale = centred.std(0)
    found: np.ndarray = centred / np.where(scale > 1e-9, scale, 1.0)
    return found


def relevance(dice: Dice, columns: int) -> np.ndarray:
    """How much each column matters, [D], the largest 1: a few much, some not at all."""
    weights = dice.uniform(columns) ** dice.one(0.3, 4.0)
    if dice.chance(0.6):
        weights = weights * (dice.uniform(columns) < dice.one(0.2, 1.0))
    weights[dice.count(0, columns - 1)] = 1.0
    return weights


def linear(dice: Dice, x: np.ndarray, outputs: int) -> np.ndarray:
    weights = relevance(dice, x.shape[1])[:, None] * dice.normal(x.shape[1], outputs)
    return unit(x @ weights)


def tree(dice: Dice, x: np.ndarray, outputs: int) -> np.ndarray:
    """The sum of one to eight random trees that ask one column at each depth, at a value of a
    random row."""
    total = np.zeros((len(x), outputs))
    matters = relevance(dice, x.shape[1])
    for _ in range(dice.log_count(1, 8)):
        leaf = np.zeros(len(x), int)
        for _ in range(dice.count(1, 4)):
            column = x[:, dice.pick(matters)]
            leaf = 2 * leaf + (column > column[dice.count(0, len(x) - 1)])
        total += dice.normal(16, outputs)[leaf]
    return unit(total)


def smooth(dice: Dice, x: np.ndarray, outputs: int, features: int = 48) -> np.ndarray:
    """A draw of a Gaussian process with one length for each column, by random Fourier features."""
    lengths = relevance(dice, x.shape[1]) * dice.log(0.15, 1.5)
    waves = x @ (lengths[:, None] * dice.normal(x.shape[1], features))
    waves = np.cos(waves + 2 * np.pi * dice.uniform(features))
    return unit(waves @ dice.normal(features, outputs))


def additive(dice: Dice, x: np.ndarray, outputs: int) -> np.ndarray:
    """The sum of a function of each column."""
    matters = relevance(dice, x.shape[1])
    total = np.zeros((len(x), outputs))
    for at in np.flatnonzero(matters > 0.05).tolist():
        column = x[:, at : at + 1]
        part = linear if dice.chance(0.3) else smooth if dice.chance(0.6) else tree
        total += matters[at] * dice.one(0.3, 1.0) * part(dice, column, outputs)
    return unit(total)


def periodic(dice: Dice, x: np.ndarray, outputs: int) -> np.ndarray:
    """Waves along one direction, of one column most often."""
    if dice.chance(0.7):
        along = x[:, [dice.count(0, x.shape[1] - 1)]]
    else:
        along = linear(dice, x, 1)
    speed, phase = dice.log(1.0, 5.0), 2 * np.pi * dice.uniform(outputs)
    waves = np.sin(speed * along + phase)
    return unit(waves * (1 + 0.3 * dice.normal(outputs)) + dice.one(0.0, 0.7) * along)


def product(dice: Dice, x: np.ndarray, outputs: int) -> np.ndarray:
    """Products of two directions, beside the directions themselves."""
    one, other = linear(dice, x, outputs), linear(dice, x, outputs)
    return unit(one * other + dice.one(0.0, 1.0) * one + dice.one(0.0, 0.5) * other)


def network(dice: Dice, x: np.ndarray, outputs: int) -> np.ndarray:
    """Two random layers."""
    hidden = dice.count(4, 16)
    weights = relevance(dice, x.shape[1])[:, None] * dice.normal(x.shape[1], hidden)
    inner = activated(dice, dice.log(0.5, 3.0) * unit(x @ weights) + dice.normal(hidden))
    return unit(inner @ dice.normal(inner.shape[1], outputs))


FUNCTIONS: Mapping[str, tuple[Function, float]] = {
    "linear": (linear, 4.0),
    "tree": (tree, 3.5),
    "smooth": (smooth, 2.0),
    "additive": (additive, 2.5),
    "network": (network, 1.5),
    "product": (product, 0.8),
    "periodic": (periodic, 0.5),
}
"""With how often each is drawn."""


def target_function(dice: Dice, x: np.ndarray, outputs: int) -> np.ndarray:
    """One of the functions, or the sum of two, [M, S]."""
    names, weights = list(FUNCTIONS), [weight for _, weight in FUNCTIONS.values()]
    found = FUNCTIONS[names[dice.pick(weights)]][0](dice, x, outputs)
    if dice.chance(0.2):
        other = FUNCTIONS[names[dice.pick(weights)]][0](dice, x, outputs)
        found = unit(found + dice.one(0.2, 1.0) * other)
    return found


ACTIVATIONS: tuple[Callable[[np.ndarray], np.ndarray], ...] = (
    lambda z: z,
    np.tanh,
    lambda z: np.maximum(z, 0),
    np.sin,
    np.abs,
    np.square,
    lambda z: np.exp(-np.square(z)),
    np.sign,
    lambda z: np.exp(np.minimum(z, 2.0)),
)
USUAL = (4.0, 2.0, 2.0, 0.5, 1.0, 0.5, 0.5, 0.5, 0.7)  # how often each is drawn


def activated(dice: Dice, z: np.ndarray) -> np.ndarray:
    """Every column of z [M, D] through an activation of its own."""
    found = np.empty_like(z)
    same = dice.chance(0.4)
    number = dice.pick(USUAL)
    for at in range(z.shape[1]):
        chosen = ACTIVATIONS[number if same else dice.pick(USUAL)]
        found[:, at] = chosen(z[:, at])
    return found
