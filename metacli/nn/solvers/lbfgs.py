"""L-BFGS in numpy: J. Nocedal, S. Wright, "Numerical Optimization", 2nd edition, 2006, algorithms
7.4 and 7.5, with the line search of A. Lewis, M. Overton, "Nonsmooth optimization via quasi-Newton
methods", Mathematical Programming 141, 2013, algorithm 2.6.

Here because importing SciPy's optimisers takes a third of a second and each of their evaluations
more time than a small problem's own arithmetic.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

import numpy as np

KEPT = 10  # pairs of steps and changes of the gradient
DECREASE, CURVATURE = 1e-4, 0.9  # of the weak Wolfe conditions
HALVINGS = 60
IDLE = 5  # steps without a change that rounding would not make
DIGITS = 4e-16  # of a value: a smaller change is rounding

Function = Callable[[np.ndarray], tuple[float, np.ndarray]]
"""x -> value and gradient of a smooth function."""
Point = tuple[np.ndarray, float, np.ndarray]


def minimised(
    function: Function,
    begin: np.ndarray,
    precision: float,
    most: int,
    curved: np.ndarray | None = None,
) -> np.ndarray:
    """Where the function is smallest.

    Args:
        precision: the largest part of the gradient that is left; where rounding forbids it, as near
            as float64 comes.
        most: steps.
        curved: about how much it curves along each number, [n], all positive; steps are in units of
            that. None: nothing is known of it.
    """
    point: Point = (begin, *function(begin))
    pairs: deque[tuple[np.ndarray, np.ndarray, float]] = deque(maxlen=KEPT)
    idle = 0
    for _ in range(most):
        x, value, slope = point
        if float(np.abs(slope).max()) <= precision:
            break
        way = direction(slope, pairs, curved)
        if not float(way @ slope) < 0:  # rounding spoiled the pairs
            pairs.clear()
            way = -slope
        known = pairs or curved is not None
        first = 1.0 if known else min(1.0, 1.0 / float(np.abs(slope).sum()))
        found = searched(function, point, way, first)
        if found is None:
            break
        step, change = found[0] - x, found[2] - slope
        if (product := float(step @ change)) > 0:
            pairs.append((step, change, 1.0 / product))
        point = found
        idle = idle + 1 if value - found[1] <= DIGITS * max(1.0, abs(value)) else 0
        if idle == IDLE:
            break
    return point[0]


def direction(
    slope: np.ndarray,
    pairs: deque[tuple[np.ndarray, np.ndarray, float]],
    curved: np.ndarray | None = None,
) -> np.ndarray:
    """Minus the inverse of the curvature that the pairs say, times the gradient (7.4); what they do
    not say is `curved`, times what makes it agree with the newest pair."""
    way = -slope
    shares = []
    for step, change, inverse in reversed(pairs):
        share = inverse * float(step @ way)
        way = way - share * change
        shares.append(share)
    if curved is not None:
        way = way / curved
    if pairs:
        _, change, inverse = pairs[-1]
        along = change if curved is None else change / curved
        way = way / (inverse * float(change @ along))
    for (step, change, inverse), share in zip(pairs, reversed(shares), strict=True):
        way = way + (share - inverse * float(change @ way)) * step
    return way


def searched(function: Function, point: Point, way: np.ndarray, first: float) -> Point | None:
    """A point along the way where the function is smaller and less steep; None where rounding hides
    every one."""
    x, value, slope = point
    steep = float(way @ slope)
    rounding = DIGITS * max(1.0, abs(value))
    low, high, size = 0.0, np.inf, first
    for _ in range(HALVINGS):
        at = x + size * way
        there, slope_there = function(at)
        if not there <= value + DECREASE * size * steep + rounding:
            high = size
        elif float(slope_there @ way) < CURVATURE * steep:
            low = size
        else:
            return at, there, slope_there
        size = (low + high) / 2 if high < np.inf else 2 * size
    return None
