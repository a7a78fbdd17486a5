"""Whether a user's images look like those that a source learned from."""

from __future__ import annotations

from collections.abc import Sequence

from metacli.data.plain import record_in
from metacli.data.user.appearance import COLOURFUL, Appearance, Aspect, unlike
from metacli.engine.events import Notice
from metacli.engine.models.model import AnyModel
from metacli.engine.models.opening import Opened
from metacli.errors import BundleError

UNLIKE = "adapt.unlike_source"
DARK = 100  # mean of the pixels, of 255

# Training images of the sets that older models do not describe themselves: 256 of them, evenly
# spaced over the classes.
KNOWN = {
    "glyphs": Appearance(256, 0.0, 0.8367, 0.9592, 1.0, 0.0454, 28, 28),
    "omniglot": Appearance(256, 0.0, 0.831, 0.9509, 0.9922, 0.0594, 28, 28),
    "cifar-fs": Appearance(256, 0.1368, -0.0464, 0.5122, 0.6704, 0.0834, 32, 32),
}


def differences(
    opened: Opened[AnyModel], seen: Appearance | None, brightness: float, help_: str
) -> list[Notice]:
    """In which respects the user's images differ from the source's; also that a model of dark
    strokes on light paper sees nothing sensible in light strokes on dark.

    Args:
        seen: what the user's images look like; None where that is not known.
        brightness: mean of their pixels, of 255.
        help_: the command that finds a better source.
    """
    recorded, inputs = learned_from(opened), opened.model.inputs
    aspects: Sequence[Aspect] = ()
    found = []
    if recorded is not None and seen is not None:
        aspects = telling(seen, recorded, inputs.shape[0])
        if aspects:
            found.append(Notice(said(seen, recorded, aspects, help_), UNLIKE))
    if inputs.invert and brightness < DARK and "dark-ground" not in aspects:
        found.append(
            Notice(
                "these images are mostly dark, and the model was trained on dark strokes on "
                "light paper: invert them (--fit-inputs does)",
                "adapt.dark_paper",
            )
        )
    return found


def learned_from(opened: Opened[AnyModel]) -> Appearance | None:
    """What the images that it was trained on look like; None where that is not known.

    Raises:
        BundleError: the model says something else in its place.
    """
    model = opened.model
    if model.inputs.kind != "image":
        return None
    provenance = model.provenance
    if provenance.get("appearance") is None:
        return KNOWN.get(model.recipe.data.source)
    try:
        return Appearance.from_dict(record_in(provenance, "appearance"))
    except (ValueError, TypeError) as error:
        raise BundleError(
            f"model.json is not valid at provenance.appearance: {error}",
            code="model.damaged",
            where=str(opened.path),
        ) from None


def telling(seen: Appearance, recorded: Appearance, channels: int) -> tuple[Aspect, ...]:
    """Differences that a score suffers from. Colour alone is none for a model that reads all images
    as grey, nor is coloured ink on drawings."""
    found = unlike(seen, recorded)
    lost = channels == 1 or seen.kind == recorded.kind == "drawing"
    return () if lost and found == ("colour",) else found


def said(seen: Appearance, recorded: Appearance, aspects: Sequence[Aspect], help_: str) -> str:
    """`this model learned from 28x28 grey drawings; your images are colour photographs, 160x120:
    try: metacli adapt DATA`."""
    ground = "dark-ground" in aspects or "light-ground" in aspects
    theirs = f"{size(recorded)} {look(recorded, ground=ground)}"
    yours = f"{look(seen, ground=ground)}, {size(seen)}"
    if aspects == ("faint",):
        yours = f"far paler, {seen.range / recorded.range:.0%} of its contrast"
    only = set(aspects) <= {"dark-ground", "light-ground"}
    first = "try: "
    if only or aspects == ("faint",):
        first = f"{'invert them' if only else 'stretch them'} (--fit-inputs does), or try: "
    return f"this model learned from {theirs}; your images are {yours}: {first}{help_}"


def look(one: Appearance, *, ground: bool) -> str:
    """`grey drawings`, and on what where that matters."""
    colour = "colour" if one.colourfulness > COLOURFUL else "grey"
    kind = "images" if one.kind == "between" else f"{one.kind}s"
    on = ", light strokes on dark ground" if one.polarity < 0 else ", dark strokes on light ground"
    return f"{colour} {kind}{on if ground else ''}"


def size(one: Appearance) -> str:
    """Width x height."""
    return f"{one.width}x{one.height}"
