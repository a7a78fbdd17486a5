"""`fetch`: bring a data set into the cache. The only verb that opens a socket."""

from __future__ import annotations

from pathlib import Path

from metacli.data.cache.download import fetch_dataset
from metacli.data.catalogue.registry import DATASETS
from metacli.engine.events import Progress, Reporter, ignore
from metacli.engine.results.fetch import Fetchable, FetchResult
from metacli.engine.storage.paths import cache_root, mirror, offline


def fetch(
    name: str,
    *,
    dir: str | Path | None = None,
    from_path: str | Path | None = None,
    force: bool = False,
    report: Reporter = ignore,
) -> FetchResult:
    """Download a data set, or take it from `from_path`, check its contents, and decode it once.

    Args:
        dir: the cache to put it in; default METACLI_CACHE or the platform's cache folder.
        from_path: a local archive, a folder of archives, or an unpacked archive.

    Raises:
        DownloadError: nothing that could be reached has the right contents; every address tried
            is named.
        DataError: no data set of that name.
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
    return FetchResult(found.name, found.path, found.bytes, found.digest, found.from_cache)


def fetchable() -> list[Fetchable]:
    """What `fetch` knows: name, one line, where it comes from."""
    return [
        Fetchable(
            name=one.name,
            kind=one.kind,
            summary=one.summary,
            bytes=sum(archive.bytes for archive in one.archives),
            citation=one.citation,
            licence=one.licence,
        )
        for one in DATASETS.values()
    ]
