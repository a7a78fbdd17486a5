"""What `push` returns."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from metacli.engine.results.base import Result


@dataclass(frozen=True, eq=False)
class PushResult(Result):
    """A model folder on a hub.

    Args:
        url: its page there.
        revision: the commit; None: nothing was sent (a dry run).
        files: what a commit holds. bytes: of all of them.
    """

    name: str
    url: str
    revision: str | None
    model: Path
    files: tuple[str, ...]
    bytes: int
