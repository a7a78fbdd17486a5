"""Thresholds that a user asked for: `--fail-under accuracy=0.9`, `--fail-over mse=0.2`."""

from __future__ import annotations

import difflib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from metacli.engine.results.base import Json
from metacli.engine.storage.paths import split_assignment
from metacli.errors import CheckFailed, UsageProblem

LOWER_IS_BETTER = ("mse", "nmse", "rmse", "mae", "loss", "log_loss")
FRACTIONS = ("accuracy", "balanced_accuracy", "macro_f1", "auc", "roc_auc")  # of 0 to 1


@dataclass(frozen=True)
class Check:
    metric: str
    bound: float
    fails: Literal["under", "over"]


def parse_checks(fail_under: Sequence[str], fail_over: Sequence[str]) -> list[Check]:
    """Raises UsageProblem: not METRIC=VALUE, or the wrong direction for the metric (it names the
    other option)."""
    checks = [Check(*split_assignment(text, "--fail-under"), "under") for text in fail_under]
    checks += [Check(*split_assignment(text, "--fail-over"), "over") for text in fail_over]
    for check in checks:
        require_fraction(check)
        lower = plain_name(check.metric) in LOWER_IS_BETTER
        if lower != (check.fails == "over"):
            other = "over" if lower else "under"
            raise UsageProblem(
                f"--fail-{check.fails} on {check.metric}, where "
                f"{'lower' if lower else 'higher'} is better",
                where="command line",
                hint=f"--fail-{other} {check.metric}={check.bound:g}",
            )
    return checks


def plain_name(metric: str) -> str:
    """`accuracy` of `val_accuracy`, of `accuracy_low`, the end of an interval, and of
    `accuracy_worst`, that of the worst task."""
    for end in ("_low", "_high", "_worst"):
        metric = metric.removesuffix(end)
    return metric.removeprefix("val_")


def require_fraction(check: Check) -> None:
    """Raises UsageProblem for a percentage where the metric is a fraction."""
    if plain_name(check.metric) not in FRACTIONS or 0 <= check.bound <= 1:
        return
    near = check.bound / 100
    hint = f"did you mean {near:g}?" if 0 <= near <= 1 else f"--fail-{check.fails} accuracy=0.9"
    raise UsageProblem(
        f"{check.metric} is between 0 and 1, found {check.bound:g}",
        where="command line",
        hint=hint,
    )


def require_known(checks: Sequence[Check], names: Sequence[str]) -> None:
    """Raises UsageProblem for a metric that will not be measured: before the work, not after."""
    for check in checks:
        if check.metric not in names:
            near = difflib.get_close_matches(check.metric, names, n=1)
            hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(names)}"
            raise UsageProblem(f"no metric {check.metric!r} in this result", hint=hint)


def require_checks(
    checks: Sequence[Check], values: Mapping[str, float | None], result: dict[str, Json]
) -> None:
    """Raises CheckFailed for the first that does not hold, UsageProblem for a metric that was not
    measured."""
    require_known(checks, list(values))
    for check in checks:
        measured = values[check.metric]
        value = math.nan if measured is None else measured
        # Written so that NaN fails as well.
        good = value >= check.bound if check.fails == "under" else value <= check.bound
        if not good:
            raise CheckFailed(
                f"{check.metric} is {value:.4f}, wanted "
                f"{'at least' if check.fails == 'under' else 'at most'} {check.bound:g}",
                result=result,
            )
