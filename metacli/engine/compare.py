"""`compare`: which of several models or recipes is better, on the very same units."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from typing import Any

import numpy as np

from metacli.engine.events import Notice, Reporter, ignore
from metacli.engine.scoring.arms import Arm, Key, Line, arms_of, common_keys, read_scored
from metacli.engine.scoring.checks import LOWER_IS_BETTER
from metacli.engine.scoring.intervals import (
    Difference,
    Verdict,
    benjamini_hochberg,
    over_episodes,
    two_level_bootstrap,
    verdict,
)
from metacli.errors import DataError

SIGNIFICANT = 0.05
SHOWN = ("split", "way", "shot", "query", "unit", "mode", "data_digest")


def compare(paths: Sequence[str], *, report: Reporter = ignore) -> dict[str, Any]:
    """Pair the scores that `evaluate` wrote, unit by unit.

    Runs of one recipe that differ in the seed alone count as one item; its intervals are over seeds
    and episodes, and a verdict is about recipes. Otherwise it is about the very models. `delta` is
    b minus a, and `helped` says that b is better. With more than one pair the verdicts control the
    false discovery rate (Benjamini and Hochberg at 5 %); the intervals stay those of each pair.

    Args:
        paths: runs, models, `@last`, or score files.

    Returns:
        The `result` of the command line's JSON document.

    Raises:
        DataError: fewer than two different items, one that was never evaluated, or no evaluation
            that all of them have in common.
    """
    arms = arms_of([one for name in paths for one in read_scored(name)])
    if len(arms) < 2:
        raise DataError(
            "there is one set of scores and nothing to compare it with",
            code="scores.nothing_to_compare",
            where=str(arms[0].path),
            hint="metacli compare A B wants two runs, models or score files",
        )
    keys = common_keys(arms)
    tell_left_out(arms, keys, report)
    items = [item(arm, key) for key in keys for arm in arms]
    pairs = judged([pair(a, b, key) for key in keys for a, b in combinations(arms, 2)])
    tell_not_finite(pairs, report)
    return {"items": items, "pairs": pairs}


def tell_left_out(arms: Sequence[Arm], keys: Sequence[Key], report: Reporter) -> None:
    extra = sum(len(set(arm.keys) - set(keys)) for arm in arms)
    if extra:
        message = f"{extra} evaluation(s) that not all of them have are left out"
        report(Notice(message, "compare.left_out"))


def tell_not_finite(pairs: Sequence[dict[str, Any]], report: Reporter) -> None:
    for one in pairs:
        if one["not_finite"]:
            message = f"{one['not_finite']} unit(s) are not finite and not in the difference: "
            report(Notice(f"{message}{one['a']} and {one['b']}", "compare.not_finite"))


def item(arm: Arm, key: Key) -> dict[str, Any]:
    """Mean and half-width of one item: over its units, and over its seeds where there are some."""
    values = arm.values(key)
    if len(values) == 1:
        found = over_episodes(values[0])
        mean, ci95, n = found.mean, found.ci95, found.n
    else:
        good = values[:, np.isfinite(values).all(0)]
        over = difference_of(good, None)
        mean, ci95, n = over.delta, (over.high - over.low) / 2, good.shape[1]
    return {
        "path": str(arm.path),
        "metric": key[1],
        "mean": mean,
        "ci95": ci95,
        "n": n,
        **told(arm.line(key)),
        "models": [str(one.model) for one in arm.members],
        "seeds": arm.seeds,
    }


def pair(a: Arm, b: Arm, key: Key) -> dict[str, Any]:
    """b minus a on the units that are finite in both; no verdict yet."""
    mine, other = a.values(key), b.values(key)
    good = np.isfinite(mine).all(0) & np.isfinite(other).all(0)
    found = difference_of(other[:, good], mine[:, good])
    return {
        "a": str(a.path),
        "b": str(b.path),
        "metric": key[1],
        "delta": found.delta,
        "delta_ci95": [found.low, found.high],
        "p": found.p,
        "n": int(good.sum()),
        "not_finite": int((~good).sum()),
        "about": "recipes" if min(len(mine), len(other)) > 1 else "models",
        **told(a.line(key)),
    }


def difference_of(values: np.ndarray, against: np.ndarray | None) -> Difference:
    """The two-level bootstrap; nothing to say below two units."""
    if values.shape[1] < 2:
        delta = float(values.mean() - (0 if against is None else against.mean()))
        return Difference(delta if values.size else np.nan, -np.inf, np.inf, np.nan)
    return two_level_bootstrap(values, against)


def told(line: Line) -> dict[str, Any]:
    """What was measured, for a reader."""
    return {fact: line.get(fact) for fact in SHOWN}


def judged(pairs: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The pairs with their verdicts and adjusted p-values."""
    adjusted = benjamini_hochberg([one["p"] for one in pairs])
    return [
        {**one, "p_adjusted": p, "verdict": verdict_of(one, p)}
        for one, p in zip(pairs, adjusted, strict=True)
    ]


def verdict_of(one: dict[str, Any], adjusted: float) -> Verdict:
    """The interval's verdict, taken back where it does not survive the number of pairs."""
    low, high = one["delta_ci95"]
    larger = one["metric"] not in LOWER_IS_BETTER
    found = verdict(low, high, one["n"], larger_is_better=larger)
    if found in ("helped", "hurt") and not adjusted <= SIGNIFICANT:
        return "no_difference"
    return found
