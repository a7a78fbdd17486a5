"""What `fetch` returns."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from metacli.engine.results.base import Result


@dataclass(frozen=True, eq=False)
class FetchResult(Result):
    """A data set in the cache.

    Args:
        digest: SHA-256 of its contents.
        from_cache: nothing had to be downloaded.
    """

    name: str
    path: Path
    bytes: int
    digest: str
    from_cache: bool


@dataclass(frozen=True, eq=False)
class Fetchable(Result):
    """A data set that `fetch` knows; `bytes` are to download."""

    name: str
    kind: str
    summary: str
    bytes: int
    citation: str | None
    licence: str | None
