"""`fetch`: bring a data set into the cache. The only verb that opens a socket."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from metacli.data.cache.download import fetch_dataset
from metacli.data.catalogue.registry import DATASETS
from metacli.engine.events import Progress, Reporter, ignore
from metacli.engine.storage.paths import cache_root, mirror, offline


def fetch(
    name: str,
    *,
    dir: str | None = None,
    from_path: str | None = None,
    force: bool = False,
    report: Reporter = ignore,
) -> dict[str, Any]:
    """Download a data set, or take it from `from_path`, check its contents, and decode it once.

    Args:
        dir: the cache to put it in; default METACLI_CACHE or the platform's cache folder.
        from_path: a local archive, a folder of archives, or an unpacked archive.

    Raises:
        DownloadError: nothing that could be reached has the right contents; every place tried is
        named. DataError: no data set of that name.
    """
    cache = Path(dir).absolute() if dir is not None else cache_root()
    found = fetch_dataset(
        name,
        cache,
        mirror=mirror(),
        offline=offline(),
        from_=None if from_path is None else Path(from_path),
        force=force,
        report=lambda what, done, total: report(Progress(what, done, total)),
    )
    return {
        "name": found.name,
        "path": str(found.path),
        "bytes": found.bytes,
        "digest": found.digest,
        "from_cache": found.from_cache,
    }


def fetchable() -> list[dict[str, Any]]:
    """What `fetch` knows: name, one line, where it comes from."""
    return [
        {
            "name": one.name,
            "kind": one.kind,
            "summary": one.summary,
            "bytes": sum(archive.bytes for archive in one.archives),
            "citation": one.citation,
            "licence": one.licence,
        }
        for one in DATASETS.values()
    ]
