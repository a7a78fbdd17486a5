"""L-BFGS of several small problems of one size, a step of each at a time.

The same steps as `lbfgs.minimised` takes for each of them alone, to rounding: for a hundred numbers
the interpreter takes longer than the arithmetic, and for many problems at once it takes that once.

Shape letters: P problems, A those of them that are looked at, n numbers, K pairs that are kept.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from metacli.nn.solvers.lbfgs import CURVATURE, DECREASE, DIGITS, HALVINGS, IDLE, KEPT

Functions = Callable[[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]
"""(x [A, n], which problems [A]) -> values [A] and gradients [A, n]."""


@dataclass
class Pairs:
    """The last steps of each problem, and what the gradient did in them; the newest last.

    Args:
        step, change: [P, K, n].
        inverse: 1 / (step · change), [P, K]; 0 where there is no pair.
        curved: as of `lbfgs.minimised`, of each problem [P, n].
    """

    step: np.ndarray
    change: np.ndarray
    inverse: np.ndarray
    curved: np.ndarray | None = None

    def add(self, which: np.ndarray, step: np.ndarray, change: np.ndarray) -> None:
        """Where the curvature along the step is positive."""
        product = dot(step, change)
        there = product > 0
        which = which[there]
        for memory, new in (
            (self.step, step[there]),
            (self.change, change[there]),
            (self.inverse, 1.0 / product[there]),
        ):
            memory[which, :-1] = memory[which, 1:]
            memory[which, -1] = new

    def directions(self, which: np.ndarray, slope: np.ndarray) -> np.ndarray:
        """As `lbfgs.direction`, [A, n]; -slope, and no pairs, where rounding spoiled them."""
        step, change, inverse = self.step[which], self.change[which], self.inverse[which]
        oldest = KEPT - int((inverse != 0).sum(1).max(initial=0))
        way, shares = -slope, np.zeros_like(inverse)
        for at in reversed(range(oldest, KEPT)):
            shares[:, at] = inverse[:, at] * dot(step[:, at], way)
            way = way - shares[:, at, None] * change[:, at]
        along = change[:, -1]
        if self.curved is not None:
            way, along = way / self.curved[which], along / self.curved[which]
        length = inverse[:, -1] * dot(change[:, -1], along)
        way = way / np.where(length > 0, length, 1.0)[:, None]
        for at in range(oldest, KEPT):
            share = shares[:, at] - inverse[:, at] * dot(change[:, at], way)
            way = way + share[:, None] * step[:, at]
        spoiled = ~(dot(way, slope) < 0)
        self.inverse[which[spoiled]] = 0.0
        way[spoiled] = -slope[spoiled]
        return way


def dot(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Of each row, [A]."""
    result: np.ndarray = np.einsum("an,an->a", a, b)
    return result


def minimised_each(
    functions: Functions,
    begin: np.ndarray,
    precision: np.ndarray,
    most: int,
    curved: np.ndarray | None = None,
) -> np.ndarray:
    """Where each function is smallest, [P, n].

    Args:
        begin: [P, n]. precision: the largest part of the gradient that is left, [P].
        most: steps.
        curved: as of `lbfgs.minimised`, of each problem [P, n].
    """
    count, n = begin.shape
    empty = np.zeros((count, KEPT, n))
    pairs = Pairs(empty, empty.copy(), np.zeros((count, KEPT)), curved)
    x = begin.copy()
    value, slope = functions(x, np.arange(count))
    way, size = np.zeros_like(x), np.zeros(count)
    low, high = np.zeros(count), np.full(count, np.inf)
    tries, steps, idle = (np.zeros(count, int) for _ in range(3))

    def start(which: np.ndarray) -> None:
        """A line search of each along its new direction."""
        way[which] = pairs.directions(which, slope[which])
        known = (pairs.inverse[which, -1] != 0) | (curved is not None)
        far = np.abs(slope[which]).sum(1)
        size[which] = np.where(known, 1.0, np.minimum(1.0, 1.0 / far))
        low[which], high[which], tries[which] = 0.0, np.inf, 0

    at = np.flatnonzero(np.abs(slope).max(1) > precision) if most else np.zeros(0, int)
    start(at)
    while len(at):
        there = x[at] + size[at, None] * way[at]
        value_there, slope_there = functions(there, at)
        steep = dot(way[at], slope[at])
        allowed = DECREASE * size[at] * steep + DIGITS * np.maximum(1.0, np.abs(value[at]))
        far = ~(value_there <= value[at] + allowed)
        near = ~far & (dot(slope_there, way[at]) < CURVATURE * steep)
        found = ~(far | near)
        high[at[far]], low[at[near]] = size[at[far]], size[at[near]]
        again = at[~found]
        tries[again] += 1
        between = high[again] < np.inf
        size[again] = np.where(between, (low[again] + high[again]) / 2, 2 * size[again])
        again = again[tries[again] < HALVINGS]  # of the others rounding hides every point
        moved = at[found]
        pairs.add(moved, there[found] - x[moved], slope_there[found] - slope[moved])
        rounding = DIGITS * np.maximum(1.0, np.abs(value[moved]))
        still = value[moved] - value_there[found] <= rounding
        idle[moved] = np.where(still, idle[moved] + 1, 0)
        x[moved], value[moved], slope[moved] = there[found], value_there[found], slope_there[found]
        steps[moved] += 1
        left = np.abs(slope[moved]).max(1) > precision[moved]
        moved = moved[left & (idle[moved] < IDLE) & (steps[moved] < most)]
        start(moved)
        at = np.sort(np.concatenate([again, moved]))
    return x
