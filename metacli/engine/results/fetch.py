"""What `fetch` returns."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from metacli.engine.results.base import Result


@dataclass(frozen=True, eq=False)
class FetchResult(Result):
    """A data set in the cache, or a model of a hub.

    Args:
        digest: SHA-256 of its contents; None for what is made where it is used.
        from_cache: nothing had to be downloaded.
        revision: the commit that a model of a hub is of.
    """

    optional: ClassVar[frozenset[str]] = frozenset({"revision"})

    name: str
    path: Path
    bytes: int
    digest: str | None
    from_cache: bool
    revision: str | None = None


@dataclass(frozen=True, eq=False)
class Fetchable(Result):
    """A data set that `fetch` knows; `bytes` are to download."""

    name: str
    kind: str
    summary: str
    bytes: int
    citation: str | None
    licence: str | None
