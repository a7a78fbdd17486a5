"""`inspect IMAGES --model M`: do the images look like those that the model learned from?"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from metacli.data.image_changes import changed
from metacli.data.images import read_pixels
from metacli.data.tables.choice import Choice
from metacli.data.user.appearance import Appearance, appearance_of
from metacli.data.user.open import survey_task
from metacli.engine.adapting.unlike import UNLIKE, learned_from, look, said, size, telling
from metacli.engine.events import Reporter
from metacli.engine.inspecting.findings import Looked, bounded
from metacli.engine.models.model import AnyModel
from metacli.engine.models.opening import Opened, open_model
from metacli.engine.results.base import Json
from metacli.engine.storage.paths import require_device
from metacli.errors import DataError, Finding, UsageProblem

SAMPLE = 64  # images that are measured, evenly spaced


def beside_model(found: Looked, model: str, choice: Choice, report: Reporter) -> Looked:
    """What was looked at, with how it compares.

    Raises:
        UsageProblem: these are no images, or the model takes none.
        BundleError: there is no such model.
    """
    opened = open_model(model, require_device("cpu"), report)
    if opened.model.inputs.kind != "image":
        raise UsageProblem(
            f"{model} takes no images, so there is no look to compare",
            hint=f"metacli inspect {found.path}",
        )
    if found.what == "unknown":  # what is wrong is said already
        return found
    seen = looked_at(found.path, choice, opened)
    if seen is None:
        raise UsageProblem(
            f"--model compares images, and there are none in {found.path}",
            hint=f"metacli inspect {found.path}",
        )
    recorded = learned_from(opened)
    details: dict[str, Json] = {**found.details, "look": in_words(seen)}
    if recorded is None:
        return replace(found, details={**details, "learned_from": "not recorded in the model"})
    details |= {"learned_from": in_words(recorded), "measured": measured(seen, recorded)}
    aspects = telling(seen, recorded, opened.model.inputs.shape[0])
    if not aspects:
        return replace(found, details={**details, "fits_model": True})
    message = said(seen, recorded, aspects, f"metacli adapt {found.path.name}")
    problem = Finding("warning", UNLIKE, message, str(found.path))
    details |= {"fits_model": False, "differs_in": list(aspects)}
    return replace(found, details=details, problems=bounded([problem, *found.problems]))


def looked_at(path: Path, choice: Choice, opened: Opened[AnyModel]) -> Appearance | None:
    """A sample of the images, as the model changes them; None where none can be read."""
    listing = survey_task(path, choice)
    parts = listing.children or tuple(listing.pools.values()) or (listing,)
    rows = [row for part in parts for row in (*part.support, *(part.query or ()))]
    at = np.unique(np.linspace(0, len(rows) - 1, SAMPLE).astype(int)) if rows else ()
    images = []
    for number in at:
        try:
            images.append(changed(read_pixels(rows[number].path), opened.model.inputs.changes))
        except DataError:  # a finding of `inspect` already
            continue
    return appearance_of(images) if images else None


def in_words(one: Appearance) -> str:
    """`grey drawings, dark strokes on light ground, 28x28`."""
    return f"{look(one, ground=one.kind == 'drawing')}, {size(one)}"


def measured(seen: Appearance, recorded: Appearance) -> dict[str, Json]:
    """Each measure, of these images and of those that the model learned from."""
    theirs = recorded.as_dict()
    return {
        name: [value, theirs[name]]
        for name, value in seen.as_dict().items()
        if name in ("colourfulness", "polarity", "two_tone", "range", "texture")
    }
