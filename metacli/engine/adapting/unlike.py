"""Whether a user's images look like those that a source learned from."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from metacli.data.images import read_pixels
from metacli.data.user.appearance import COLOURFUL, Appearance, Aspect, appearance_of, unlike
from metacli.data.user.open import survey_task
from metacli.engine.adapting.reading import Examples
from metacli.engine.adapting.request import Request
from metacli.engine.adapting.source import Source
from metacli.engine.events import Notice
from metacli.errors import BundleError, DataError

UNLIKE = "adapt.unlike_source"
SAMPLE = 12  # images that are looked at, evenly spaced: their medians hardly move with more
DARK = 100  # mean of the pixels, of 255

# Training images of the sets that older models do not describe themselves: 256 of them, evenly
# spaced over the classes.
KNOWN = {
    "glyphs": Appearance(256, 0.0, 0.8367, 0.9592, 1.0, 0.0454, 28, 28),
    "omniglot": Appearance(256, 0.0, 0.831, 0.9509, 0.9922, 0.0594, 28, 28),
    "cifar-fs": Appearance(256, 0.1368, -0.0464, 0.5122, 0.6704, 0.0834, 32, 32),
}


def report_unlike(source: Source, examples: Examples, request: Request) -> None:
    """Says in which respects the task's images differ from the source's; also that a model of dark
    strokes on light paper sees nothing sensible in light strokes on dark."""
    recorded = learned_from(source)
    seen = None if recorded is None else looked_at(request)
    aspects: Sequence[Aspect] = ()
    if recorded is not None and seen is not None:
        aspects = telling(seen, recorded, source.inputs.shape[0])
        if aspects:
            request.report(Notice(said(seen, recorded, aspects, request.task), UNLIKE))
    dark = source.inputs.invert and float(examples.support.x.float().mean()) < DARK
    if dark and "dark-ground" not in aspects:
        request.report(
            Notice(
                "these images are mostly dark, and the model was trained on dark strokes on "
                "light paper: invert them",
                "adapt.dark_paper",
            )
        )


def learned_from(source: Source) -> Appearance | None:
    """What the images that it was trained on look like; None where that is not known.

    Raises:
        BundleError: the model says something else in its place.
    """
    if source.inputs.kind != "image":
        return None
    written = source.opened.model.provenance.get("appearance")
    if written is None:
        return KNOWN.get(source.recipe.data.source)
    try:
        return Appearance.from_dict(written)
    except (ValueError, TypeError, AttributeError) as error:
        raise BundleError(
            f"model.json is not valid at provenance.appearance: {error}",
            code="model.damaged",
            where=str(source.opened.path),
        ) from None


def looked_at(request: Request) -> Appearance | None:
    """A sample of the task's images as they are in their files; None where none can be read, which
    whoever reads all of them says."""
    rows = survey_task(request.task, request.choice).support
    at = np.unique(np.linspace(0, len(rows) - 1, SAMPLE).astype(int)) if rows else ()
    images = []
    for number in at:
        try:
            images.append(read_pixels(rows[number].path))
        except DataError:
            continue
    return appearance_of(images) if images else None


def telling(seen: Appearance, recorded: Appearance, channels: int) -> tuple[Aspect, ...]:
    """Differences that a score suffers from. Colour alone is none for a model that reads all images
    as grey, nor is coloured ink on drawings."""
    found = unlike(seen, recorded)
    lost = channels == 1 or seen.kind == recorded.kind == "drawing"
    return () if lost and found == ("colour",) else found


def said(seen: Appearance, recorded: Appearance, aspects: Sequence[Aspect], task: Path) -> str:
    """`this model learned from 28x28 grey drawings; your images are colour photographs, 160x120:
    try: metacli adapt DATA`."""
    ground = "dark-ground" in aspects or "light-ground" in aspects
    theirs = f"{size(recorded)} {look(recorded, ground=ground)}"
    yours = f"{look(seen, ground=ground)}, {size(seen)}"
    if aspects == ("faint",):
        yours = f"far paler, {seen.range / recorded.range:.0%} of its contrast"
    only = set(aspects) <= {"dark-ground", "light-ground"}
    help_ = "invert them, or try: " if only else "try: "
    return f"this model learned from {theirs}; your images are {yours}: {help_}metacli adapt {task}"


def look(one: Appearance, *, ground: bool) -> str:
    """`grey drawings`, and on what where that matters."""
    colour = "colour" if one.colourfulness > COLOURFUL else "grey"
    kind = "images" if one.kind == "between" else f"{one.kind}s"
    on = ", light strokes on dark ground" if one.polarity < 0 else ", dark strokes on light ground"
    return f"{colour} {kind}{on if ground else ''}"


def size(one: Appearance) -> str:
    """Width x height."""
    return f"{one.width}x{one.height}"
