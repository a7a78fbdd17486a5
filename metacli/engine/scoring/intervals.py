"""Means, intervals and verdicts: what every printed number is made with."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Literal

import numpy as np

from metacli.engine.scoring.student import distribution, quantile

Z95 = NormalDist().inv_cdf(0.975)
Verdict = Literal["helped", "no_difference", "hurt", "too_few_to_say"]
FEW = 10  # units below which no verdict is given
POWER = 0.8  # with which a difference that counts as detectable is found


@dataclass(frozen=True)
class Estimate:
    """A mean with the half-width of its 95 % interval, over `n` units of which `dropped` were not
    finite."""

    mean: float
    ci95: float
    n: int
    dropped: int = 0

    def as_dict(self) -> dict[str, float]:
        shown = {"mean": self.mean, "ci95": self.ci95, "n": self.n}
        return {**shown, "not_finite": self.dropped} if self.dropped else shown


def over_episodes(values: np.ndarray) -> Estimate:
    """Student's t interval of the mean over independent episodes, [E]; those that are not
    finite are counted apart. Of twelve episodes the normal interval would be 12 % too narrow."""
    good = values[np.isfinite(values)].astype(np.float64)
    n = len(good)
    if n == 0:
        return Estimate(math.nan, math.nan, 0, len(values))
    half = t_quantile(n - 1) * float(good.std(ddof=1)) / math.sqrt(n) if n > 1 else math.nan
    return Estimate(float(good.mean()), half, n, len(values) - n)


def over_seeds(means: np.ndarray) -> Estimate:
    """Student's t interval of the mean over a few runs, [S]: of two runs the normal one would be
    six times too narrow."""
    found = paired_t(means.astype(np.float64))
    return Estimate(found.delta, found.high - found.delta, len(means))


def wilson(hits: float, n: int) -> tuple[float, float]:
    """Wilson's 95 % interval for a share of hits among n (E. B. Wilson 1927)."""
    if n == 0:
        return 0.0, 1.0
    share, z2 = hits / n, Z95**2
    middle = (share + z2 / (2 * n)) / (1 + z2 / n)
    half = Z95 / (1 + z2 / n) * math.sqrt(share * (1 - share) / n + z2 / (4 * n * n))
    return max(0.0, middle - half), min(1.0, middle + half)


def t_quantile(freedom: float, level: float = 0.975) -> float:
    """A quantile of Student's t, by default that of a two-sided 95 % interval."""
    return quantile(level, freedom)


def paired(differences: np.ndarray) -> tuple[float, float, float]:
    """Mean of paired differences over independent units and its 95 % t interval: (delta, low,
    high)."""
    n, delta = len(differences), float(differences.mean())
    if n < 2:
        return delta, -math.inf, math.inf
    half = t_quantile(n - 1) * float(differences.std(ddof=1)) / math.sqrt(n)
    return delta, delta - half, delta + half


def nadeau_bengio(differences: np.ndarray, test_share: float) -> tuple[float, float, float]:
    """The corrected resampled t interval (C. Nadeau, Y. Bengio, "Inference for the generalization
    error", 2003).

    Resampled splits share training data, so the variance of their mean is not s²/J but (1/J +
    n_test/n_train) s².

    Args:
        differences: one per split, [J].
        test_share: n_test / n_train of a split.
    """
    n, delta = len(differences), float(differences.mean())
    if n < 2:
        return delta, -math.inf, math.inf
    scale = math.sqrt((1 / n + test_share) * float(differences.var(ddof=1)))
    half = t_quantile(n - 1) * scale
    return delta, delta - half, delta + half


@dataclass(frozen=True)
class Difference:
    """A difference of means, its 95 % interval, and the p-value of no difference (two-sided).

    Args:
        freedom: degrees of freedom of the interval.
    """

    delta: float
    low: float
    high: float
    p: float
    freedom: float = math.inf


def from_t(delta: float, variance: float, freedom: float) -> Difference:
    """Interval and p-value of Student's t; `variance` is that of `delta` itself."""
    if not (freedom > 0 and math.isfinite(variance)):
        return Difference(delta, -math.inf, math.inf, math.nan, freedom)
    error = math.sqrt(variance)
    half = t_quantile(freedom) * error
    if error == 0:
        p = 1.0 if delta == 0 else 0.0
    else:
        p = 2 * distribution(-abs(delta) / error, freedom)
    return Difference(delta, delta - half, delta + half, p, freedom)


def paired_t(differences: np.ndarray) -> Difference:
    """Student's paired t test over independent units, [E]."""
    n = len(differences)
    variance = float(differences.var(ddof=1)) / n if n > 1 else math.inf
    return from_t(float(differences.mean()), variance, n - 1)


def two_level_bootstrap(values: np.ndarray, against: np.ndarray | None = None) -> Difference:
    """Mean of `values` minus mean of `against` (nothing: 0), over seeds and episodes.

    Seeds of either side and the episodes, which both sides share, are drawn with replacement, one
    fewer than there are (the n - 1 bootstrap, whose variance is not too small). The variance is
    that of infinitely many such draws, in closed form:

        s²(seeds)/S of either side + s²(episodes)/E + Σ interaction² / (S (S-1) E (E-1)) of either

    The quantiles are Student's with Welch's and Satterthwaite's degrees of freedom: percentiles of
    three to five seeds are far too narrow (under a null they exclude 0 in one run of seven). One
    seed is taken as fixed, so that one seed a side is the paired t test.

    Args:
        values: [S, E], a row for each training seed, a column for each episode.
        against: [R, E] on the same episodes, from other training seeds.
    """
    sides = [values] if against is None else [values, -against]
    total = values.shape[1]
    of_episodes = sum(side.mean(0) for side in sides)
    parts = [(_variance_of_mean(of_episodes), total - 1)]
    interaction = 0.0
    for side in sides:
        seeds = len(side)
        if seeds > 1:
            of_seeds = side.mean(1)
            parts.append((_variance_of_mean(of_seeds), seeds - 1))
            rest = side - of_seeds[:, None] - side.mean(0) + side.mean()
            interaction += float((rest**2).sum()) / (seeds * (seeds - 1) * total * (total - 1))
    variance = sum(part for part, _ in parts) + interaction
    spread = sum(part**2 / freedom for part, freedom in parts)
    freedom = variance**2 / spread if spread > 0 else total - 1
    return from_t(float(of_episodes.mean()), variance, freedom)


def _variance_of_mean(values: np.ndarray) -> float:
    return float(values.var(ddof=1)) / len(values)


def benjamini_hochberg(p_values: Sequence[float]) -> list[float]:
    """Adjusted p-values: those at most 0.05 are the discoveries with a false discovery rate of 5 %.

    Y. Benjamini, Y. Hochberg, "Controlling the false discovery rate", JRSS B 57 (1995): the k-th
    smallest of m becomes min over j >= k of p_j m / j. NaN, which is no test, stays as it is.
    """
    adjusted = np.array(p_values, np.float64)
    tested = np.flatnonzero(np.isfinite(adjusted))
    order = tested[np.argsort(adjusted[tested], kind="stable")]
    scaled = adjusted[order] * len(order) / np.arange(1, len(order) + 1)
    adjusted[order] = np.minimum(np.minimum.accumulate(scaled[::-1])[::-1], 1.0)
    return [float(p) for p in adjusted]


def verdict(low: float, high: float, units: int, *, larger_is_better: bool = True) -> Verdict:
    """What an interval of a difference says. Below `FEW` units it says nothing."""
    if units < FEW or not (math.isfinite(low) and math.isfinite(high)):
        return "too_few_to_say"
    if not larger_is_better:
        low, high = -high, -low
    if low > 0:
        return "helped"
    return "hurt" if high < 0 else "no_difference"


def detectable(low: float, high: float, freedom: float, comparisons: int = 1) -> float | None:
    """The smallest true difference that would have been found four times in five (`POWER`).

    With the standard error s of the interval, (t(1 - α/2) + t(0.8)) s: the usual formula of power
    analysis (J. Cohen, 1988), with α = 5 % shared by all `comparisons`, of which the smallest
    p-value has to be below α / comparisons before Benjamini and Hochberg let it through.

    Args:
        low, high: of the 95 % t interval of the difference.
        freedom: its degrees of freedom.

    Returns:
        None where there is no interval.
    """
    if not (math.isfinite(low) and math.isfinite(high) and freedom > 0):
        return None
    error = (high - low) / 2 / t_quantile(freedom)
    needed = t_quantile(freedom, 1 - 0.025 / max(1, comparisons)) + t_quantile(freedom, POWER)
    return needed * error


@dataclass(frozen=True)
class Comparison:
    """How a model compares with something else on the same units.

    Args:
        delta: of the score; `low` and `high` are its 95 % interval.
        detectable: see there; in the unit of `delta`.
    """

    delta: float
    low: float
    high: float
    verdict: Verdict
    detectable: float | None

    def as_dict(self) -> dict[str, float | list[float] | str | None]:
        return {
            "delta": self.delta,
            "delta_ci95": [self.low, self.high],
            "verdict": self.verdict,
            "detectable": self.detectable,
        }


def compared(found: Difference, units: int, *, larger_is_better: bool = True) -> Comparison:
    """A difference with its verdict and what it could have shown."""
    said = verdict(found.low, found.high, units, larger_is_better=larger_is_better)
    smallest = detectable(found.low, found.high, found.freedom)
    return Comparison(found.delta, found.low, found.high, said, smallest)
