"""`compare`: which of several models or recipes is better, on the same units."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from itertools import combinations
from pathlib import Path

import numpy as np

from metacli.engine.events import Notice, Reporter, ignore
from metacli.engine.results.compare import CompareResult, Item, Pair, Units
from metacli.engine.scoring.arms import Arm, Key, Line, arms_of, common_keys, read_scored
from metacli.engine.scoring.checks import LOWER_IS_BETTER
from metacli.engine.scoring.intervals import (
    Difference,
    Verdict,
    benjamini_hochberg,
    detectable,
    over_episodes,
    two_level_bootstrap,
    verdict,
)
from metacli.errors import DataError

SIGNIFICANT = 0.05
FEWEST_SEEDS = 3  # of either side: fewer training runs say little of what others would give


def compare(paths: Sequence[str | Path], *, report: Reporter = ignore) -> CompareResult:
    """Pair the scores that `evaluate` wrote, unit by unit.

    Runs of one recipe that differ in the seed alone count as one item; its intervals are over seeds
    and episodes, and with three seeds or more a verdict is about recipes. Otherwise it is about the
    very models. `delta` is b minus a, and `helped` says that b is better. With more than one pair
    the verdicts control the false discovery rate (Benjamini and Hochberg at 5 %); the intervals
    stay those of each pair.

    Args:
        paths: runs, models, `@last`, or score files.

    Raises:
        DataError: fewer than two different items, one that was never evaluated, or no evaluation
            that all of them have in common.
    """
    arms = arms_of([one for name in paths for one in read_scored(str(name))])
    if len(arms) < 2:
        raise DataError(
            "there is one set of scores and nothing to compare it with",
            code="scores.nothing_to_compare",
            where=str(arms[0].path),
            hint="metacli compare A B wants two runs, models or score files",
        )
    keys = common_keys(arms)
    report_left_out(arms, keys, report)
    items = tuple(item(arm, key) for key in keys for arm in arms)
    pairs = judged([Paired.of(a, b, key) for key in keys for a, b in combinations(arms, 2)])
    report_not_finite(pairs, report)
    return CompareResult(items, pairs)


def report_left_out(arms: Sequence[Arm], keys: Sequence[Key], report: Reporter) -> None:
    extra = sum(len(set(arm.keys) - set(keys)) for arm in arms)
    if extra:
        message = f"evaluations that not all of them have are left out: {extra}"
        report(Notice(message, "compare.left_out"))


def report_not_finite(pairs: Sequence[Pair], report: Reporter) -> None:
    for one in pairs:
        if one.not_finite:
            message = f"not finite, and not in the difference of {one.a} and {one.b}: "
            report(Notice(f"{message}{one.not_finite}", "compare.not_finite"))


def item(arm: Arm, key: Key) -> Item:
    """Mean and half-width of one item: over its units, and over its seeds where there are some."""
    values = arm.values(key)
    if len(values) == 1:
        found = over_episodes(values[0])
        mean, ci95, n = found.mean, found.ci95, found.n
    else:
        good = values[:, np.isfinite(values).all(0)]
        over = difference_of(good, None)
        mean, ci95, n = over.delta, (over.high - over.low) / 2, good.shape[1]
    models = tuple(one.model for one in arm.members)
    on = units_of(arm.line(key))
    return Item(arm.path, key.metric, mean, ci95, n, on, models, tuple(arm.seeds))


@dataclass(frozen=True)
class Paired:
    """Two items on the units that are finite in both; no verdict yet.

    Args:
        found: b minus a.
        n: units; `not_finite` are left out.
        seeds: of the side that has fewer.
    """

    a: Arm
    b: Arm
    key: Key
    found: Difference
    n: int
    not_finite: int
    seeds: int

    @classmethod
    def of(cls, a: Arm, b: Arm, key: Key) -> Paired:
        first, second = a.values(key), b.values(key)
        good = np.isfinite(first).all(0) & np.isfinite(second).all(0)
        found = difference_of(second[:, good], first[:, good])
        seeds = min(len(first), len(second))
        return cls(a, b, key, found, int(good.sum()), int((~good).sum()), seeds)

    @property
    def about(self) -> str:
        """What a verdict is about: recipes need several training runs on either side."""
        return "recipes" if self.seeds >= FEWEST_SEEDS else "models"

    def verdict(self, adjusted: float) -> Verdict:
        """The interval's, taken back where it does not survive the number of pairs."""
        larger = self.key.metric not in LOWER_IS_BETTER
        said = verdict(self.found.low, self.found.high, self.n, larger_is_better=larger)
        if said in ("helped", "hurt") and not adjusted <= SIGNIFICANT:
            return "no_difference"
        return said


def difference_of(values: np.ndarray, against: np.ndarray | None) -> Difference:
    """The two-level bootstrap; nothing to say below two units."""
    if values.shape[1] < 2:
        delta = float(values.mean() - (0 if against is None else against.mean()))
        return Difference(delta if values.size else np.nan, -np.inf, np.inf, np.nan)
    return two_level_bootstrap(values, against)


def units_of(line: Line) -> Units:
    """What was measured, for a reader."""
    return Units(**{one.name: line.get(one.name) for one in fields(Units)})


def judged(pairs: Sequence[Paired]) -> tuple[Pair, ...]:
    """The pairs with their verdicts and adjusted p-values, which allow for all of them."""
    adjusted = benjamini_hochberg([one.found.p for one in pairs])
    return tuple(
        Pair(
            a=one.a.path,
            b=one.b.path,
            metric=one.key.metric,
            delta=one.found.delta,
            delta_ci95=(one.found.low, one.found.high),
            p=one.found.p,
            p_adjusted=p,
            verdict=one.verdict(p),
            detectable=detectable(one.found.low, one.found.high, one.found.freedom, len(pairs)),
            n=one.n,
            not_finite=one.not_finite,
            about=one.about,
            on=units_of(one.a.line(one.key)),
        )
        for one, p in zip(pairs, adjusted, strict=True)
    )
