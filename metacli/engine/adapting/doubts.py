"""What speaks against a model that was just adapted, in words for people and as names that
`--fail-if` takes."""

from __future__ import annotations

from collections.abc import Sequence

from metacli.engine.adapting.simple import MEAN
from metacli.engine.events import Notice
from metacli.engine.results.adapt import (
    Adaptation,
    ClassScore,
    Doubt,
    NoScore,
    RegressionScore,
    Score,
    Transfer,
)
from metacli.engine.results.adapt_many import Adaptations
from metacli.engine.spelling import signed
from metacli.errors import CheckFailed, Finding, UsageProblem

PREFIX = "adapt."  # of the codes of warnings
SAYS: dict[Doubt, str] = {"guessing": "no better than guessing", "hurts": "the source hurts"}


def doubts_about(score: Score, transfer: Transfer) -> list[Notice]:
    """A warning for each reason to distrust the model; their codes are `adapt.guessing` and
    `adapt.hurts`."""
    found = {"guessing": guessing(score, transfer), "hurts": hurts(score, transfer)}
    return [Notice(message, PREFIX + name) for name, message in found.items() if message]


def guessing(score: Score, transfer: Transfer) -> str | None:
    """When nothing shows that the model knows more than the classes' number, or of a regression
    more than the mean."""
    if isinstance(score, ClassScore) and score.low <= score.chance:
        return (
            f"no better than guessing: {score.value:.0%}, and its interval {score.low:.0%} to "
            f"{score.high:.0%} holds chance, {score.chance:.0%}. More examples of each class may "
            "help, or another source; or the labels say something that the examples do not show"
        )
    if isinstance(score, RegressionScore):
        against = next((one for one in transfer.all if one.baseline.name == MEAN), None)
        if against is not None and against.found.low <= 0:
            return (
                f"no better than guessing: the {MEAN} is off by {against.baseline.value:.4g}, "
                f"this model by {score.value:.4g}, and the interval of the difference holds 0. "
                "More examples may help, or another source"
            )
    return None


def hurts(score: Score, transfer: Transfer) -> str | None:
    """When a model that needs no source is better, the interval of the difference below 0."""
    best = transfer.best
    if best is None or best.found.verdict != "hurt":
        return None
    by = signed(score.metric, best.found.delta)
    return f"the source hurts: {by} against {best.baseline.name}, which needs no source"


def names_of_doubts(doubts: Sequence[Notice]) -> tuple[Doubt, ...] | None:
    """As results and `--fail-if` have them; None where there are none."""
    codes = {one.code for one in doubts}
    return tuple(name for name in SAYS if PREFIX + name in codes) or None


def require_no_doubt(asked: Sequence[Doubt], result: Adaptation) -> None:
    """Raises CheckFailed for a doubt that was asked about, UsageProblem where nothing could be
    measured and so none can be excluded."""
    if not asked:
        return
    if isinstance(result.score, NoScore):
        raise UsageProblem(
            f"no score to check: {result.score.why}", hint="add a query/ folder", result=result
        )
    stand = [name for name in asked if name in (result.doubts or ())]
    if stand:
        raise failed(stand, [Finding("warning", PREFIX + one, SAYS[one]) for one in stand], result)


def require_no_doubt_anywhere(asked: Sequence[Doubt], result: Adaptations) -> None:
    """The same for each task of a folder."""
    found = [
        Finding("warning", PREFIX + name, f"{row.name}: {SAYS[name]}")
        for row in result.tasks
        for name in asked
        if name in (row.doubts or ())
    ]
    if found:
        stand = [name for name in asked if any(one.code == PREFIX + name for one in found)]
        raise failed(stand, found, result)


def failed(
    names: Sequence[Doubt], findings: Sequence[Finding], result: Adaptation | Adaptations
) -> CheckFailed:
    said = " and ".join(SAYS[name] for name in names)
    return CheckFailed(
        f"{said}; the model is written all the same", findings=findings, result=result
    )
