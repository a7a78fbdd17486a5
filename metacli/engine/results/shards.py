"""What a part of divided work returns where it has no result of its own."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from metacli.engine.results.base import Result


@dataclass(frozen=True, eq=False)
class ShardResult(Result):
    """One part, for `merge`.

    Args:
        shard: `2/8`. path: its folder.
        episodes: that it has measured.
    """

    shard: str
    path: Path
    episodes: int
    model: Path


@dataclass(frozen=True, eq=False)
class Mergeable(Result):
    """What a dry run of `merge` has found: that the parts are complete.

    Args:
        verb: the command that was divided.
    """

    parts: int
    verb: str
