"""`--reject`: when an input gets no label."""

from __future__ import annotations

from typing import Literal

from metacli.engine.models.parts import Confidence, Rejection
from metacli.errors import UsageProblem

AUTO: Literal["auto"] = "auto"
NONE_OF_THESE = "none of these"
ENOUGH_TO_REJECT = 10  # held-out examples for a limit


def threshold(known: Confidence, reject: str | float | None) -> float | Literal["auto"] | None:
    """Raises UsageProblem for `auto` on a model that had too few held-out examples for a limit."""
    if reject != AUTO:
        return probability_limit(reject)
    if known.reject is None:
        raise UsageProblem(
            f"--reject auto needs {ENOUGH_TO_REJECT} examples of the support to hold out, and this "
            "model had fewer",
            hint="--reject 0.5, or adapt with more images per class",
        )
    return AUTO if isinstance(known.reject, Rejection) else known.reject


def probability_limit(reject: str | float | None) -> float | None:
    """Raises UsageProblem for what is no probability; `auto` is one of an adapted model alone."""
    if reject is None:
        return None
    if reject == AUTO:
        raise UsageProblem("--reject auto is for adapted models", hint="--reject 0.5")
    try:
        limit = float(reject)
    except ValueError:
        limit = -1.0
    if not 0 <= limit <= 1:
        raise UsageProblem(f"--reject wants auto or a probability 0..1, found {reject!r}")
    return limit
