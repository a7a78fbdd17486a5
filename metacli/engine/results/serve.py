"""What `serve` returns when it was stopped."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from metacli.engine.results.base import Result


@dataclass(frozen=True, eq=False)
class ServeResult(Result):
    """A server that was stopped.

    Args:
        models: ids of the models that were named. adapted: how many adapted ones are in `folder`.
        requests: that were answered, by status.
    """

    address: str
    models: tuple[str, ...]
    folder: Path
    adapted: int
    requests: dict[str, int]
