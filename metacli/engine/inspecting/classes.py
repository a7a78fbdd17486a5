"""Whether a user's classes are enough to train on, and whether images lie in the wrong folder."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from metacli.data.few_shot.pools import divide_classes
from metacli.data.user.listing import Listing
from metacli.engine.inspecting.suspects import LEAST, TELLING, suspects
from metacli.errors import DataError, Finding

WAY = 5  # of the recipe that a folder of many classes is trained with


def divides(listing: Listing) -> bool:
    """Whether there are classes enough to train, validate and test on."""
    try:
        divide_classes([f"/{label}" for label in listing.labels], WAY, "")
    except DataError:
        return False
    return True


@dataclass(frozen=True)
class Judged:
    """An image of the support: its features [D], its class, and the file."""

    features: np.ndarray
    label: str
    name: str


def judge_labels(images: list[Judged]) -> tuple[list[Finding], str]:
    """Images that look like another class, as notes; and in words how much such a note is worth."""
    labels = sorted({one.label for one in images})
    if len(labels) < 2:
        return [], in_words(None)
    y = np.array([labels.index(one.label) for one in images], int)
    found, telling = suspects(np.stack([one.features for one in images]), y)
    notes = []
    for one in found:
        name = images[one.index].name
        message = (
            f"{name} of class {labels[one.label]} looks like class {labels[one.nearer]}, as far as "
            "edges and colours tell"
        )
        hint = "look at it: is it in the right folder?"
        notes.append(Finding("note", "data.label_suspect", message, name, hint))
    return notes, in_words(telling)


def in_words(telling: float | None) -> str:
    """What the check rests on.

    Args:
        telling: share of the images that edges and colours alone put into their class.
    """
    if telling is None:
        return f"skipped (needs {LEAST} images of every class)"
    if telling < TELLING:
        return f"skipped (simple features are right for only {100 * telling:.0f} %)"
    return f"edges and colours alone put {100 * telling:.0f} % of the images into their class"
