"""Labelled examples of a user as `evaluate` takes them: new to the model, and of its classes."""

from __future__ import annotations

import hashlib

import numpy as np

from metacli.data.user.loading import Examples
from metacli.engine.adapting.held_out import HeldOut
from metacli.engine.events import Notice, Reporter
from metacli.engine.models.hashes import example_hash
from metacli.engine.models.model import AdaptedModel
from metacli.errors import DataError


def require_new(
    model: AdaptedModel, rows: Examples, data: str, allow_duplicates: bool, report: Reporter
) -> None:
    """Raises DataError for examples that the model was adapted on: its score on those is no
    result."""
    known = set(model.support)
    again = [name for name, x in zip(rows.names, rows.x, strict=True) if example_hash(x) in known]
    if not again:
        return
    shown = ", ".join(again[:5]) + (", ..." if len(again) > 5 else "")
    message = f"{len(again)} of {len(rows.names)} examples are ones the model was adapted on"
    if model.inputs.kind == "numbers":  # rows of few columns may well be equal by chance
        report(Notice(message.replace("are ones", "are equal to ones"), "data.adapted_on"))
        return
    if not allow_duplicates:
        raise DataError(
            f"{message}: {shown}",
            code="data.adapted_on",
            where=data,
            hint="give it others; --allow-duplicates goes on all the same",
        )
    report(Notice(f"{message}: the accuracy is too good to be true", "data.adapted_on"))


def labels_of(
    rows: Examples, labels: tuple[str, ...], classes: tuple[str, ...], data: str
) -> np.ndarray:
    """Labels as the model numbers them. Raises DataError for one that it was not adapted to."""
    unknown = sorted(set(labels) - set(classes))
    if unknown:
        raise DataError(
            f"class {unknown[0]!r} is not one of the model's: {', '.join(classes[:10])}",
            code="data.unknown_class",
            where=data,
            hint="leave it out, or add it with examples of its own: metacli adapt MODEL MORE --add",
        )
    assert rows.y is not None
    numbers = np.array([classes.index(label) for label in labels])
    result: np.ndarray = numbers[rows.y]
    return result


def mean_log_loss(found: HeldOut) -> float:
    """Of the probabilities as `predict` gives them; an impossible right answer counts as one of
    10^-12."""
    right = found.probabilities[np.arange(len(found.y)), found.y].astype(np.float64)
    return -float(np.log(np.maximum(right, 1e-12)).mean())


def digest_of(rows: Examples) -> str:
    """SHA-256 of the decoded rows and their labels."""
    whole = hashlib.sha256(np.ascontiguousarray(rows.x).tobytes())
    if rows.y is not None:
        whole.update(rows.y.tobytes())
    return whole.hexdigest()
