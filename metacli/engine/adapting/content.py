"""What a task holds, looked at once for all sources that are tried on it."""

from __future__ import annotations

from metacli.data.images import ImageSpec
from metacli.data.user.open import Content, Listing, RowSpec, look
from metacli.engine.adapting.request import Request


def content_of(request: Request, spec: ImageSpec | RowSpec | None = None) -> Content:
    """What the door found at the task; it is asked where it was not yet, or for another path."""
    known = request.content
    if known is not None and (known.path, known.choice) == (request.task, request.choice):
        return known
    return look(request.task, request.choice, spec)


def listing_of(request: Request) -> Listing:
    """The same, listed. Raises DataError with every problem."""
    return content_of(request).checked(skip_bad=request.skip_bad)
