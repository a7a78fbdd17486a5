"""Quantiles of Student's t without SciPy, whose import takes a quarter of a second, which is more
than all of the arithmetic of `adapt` on a small table.

The distribution function is a regularised incomplete beta function, by its continued fraction (W.
Press, S. Teukolsky, W. Vetterling, B. Flannery, "Numerical Recipes", 3rd edition, 2007, section
6.4); its inverse by Newton's steps inside a bracket.
"""

from __future__ import annotations

import math
from functools import lru_cache

SMALLEST = 1e-300
DIGITS = 1e-15
LARGE = 500.0


def distribution(t: float, freedom: float) -> float:
    """P(T <= t)."""
    whole = freedom + t * t
    tail = 0.5 * tails(freedom / 2, freedom / whole, t * t / whole)
    return 1 - tail if t > 0 else tail


def density(t: float, freedom: float) -> float:
    half = freedom / 2
    logs = half_step(half) - 0.5 * math.log(freedom * math.pi)
    return math.exp(logs - (half + 0.5) * math.log1p(t * t / freedom))


@lru_cache(maxsize=256)
def quantile(level: float, freedom: float) -> float:
    """t with P(T <= t) = level, 0 < level < 1."""
    if level < 0.5:
        return -quantile(1 - level, freedom)
    low, high = 0.0, 1.0
    while distribution(high, freedom) < level:
        low, high = high, 2 * high
    t = (low + high) / 2
    for _ in range(200):
        away = distribution(t, freedom) - level
        low, high = (low, t) if away > 0 else (t, high)
        step = away / density(t, freedom)
        new = t - step if low < t - step < high else (low + high) / 2
        if abs(new - t) <= DIGITS * max(1.0, t):
            return new
        t = new
    return t


def tails(a: float, x: float, y: float) -> float:
    """I_x(a, 1/2), y being 1 - x without the loss of a subtraction."""
    if y == 0 or x == 0:
        return x
    logs = half_step(a) - 0.5 * math.log(math.pi)  # of 1 / B(a, 1/2)
    front = math.exp(logs + a * (math.log(x) if x < 0.5 else math.log1p(-y)) + 0.5 * math.log(y))
    if x < (a + 1) / (a + 2.5):
        return front * fraction(a, 0.5, x) / a
    return 1 - front * fraction(0.5, a, y) / 0.5


def half_step(a: float) -> float:
    """log Γ(a + 1/2) - log Γ(a); of a large a by Stirling's series, as the difference of two large
    numbers has few digits."""
    if a > LARGE:
        return 0.5 * math.log(a) - 1 / (8 * a) + 1 / (192 * a**3)
    return math.lgamma(a + 0.5) - math.lgamma(a)


def fraction(a: float, b: float, x: float) -> float:
    """The continued fraction of I_x(a, b), by Lentz's method (equation 6.4.5)."""
    c, d = 1.0, 1 / away_from_0(1 - (a + b) * x / (a + 1))
    found = d
    for m in range(1, 10_000):
        even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
        odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
        for term in (even, odd):
            d = 1 / away_from_0(1 + term * d)
            c = away_from_0(1 + term / c)
            found *= c * d
        if abs(c * d - 1) < DIGITS:
            break
    return found


def away_from_0(value: float) -> float:
    return value if abs(value) > SMALLEST else SMALLEST
