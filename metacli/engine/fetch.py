"""`fetch`: bring a data set, a pretrained network or a model of a hub into the cache.

With `push` and `serve` the only verb that opens a socket.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

from metacli.data.cache.download import fetch_dataset
from metacli.data.cache.networks import is_hub_name, place_of
from metacli.data.catalogue.registry import DATASETS
from metacli.engine.encoders.fetching import fetch_network, installed, is_installed_name, networks
from metacli.engine.events import Progress, Reporter, ignore
from metacli.engine.hub import bring, hub_name
from metacli.engine.results.fetch import Fetchable, FetchResult
from metacli.engine.storage.paths import (
    HUB_PREFIX,
    MODEL_FILE,
    cache_root,
    hub_folder,
    mirror,
    offline,
)
from metacli.engine.storage.writer import read_folder
from metacli.errors import DownloadError


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
        name: of a data set or a backbone; `owner/name[@COMMIT]` for a network of timm or
            sentence-transformers on the hub; or `hf:ORG/NAME[@REVISION]` for a model that `push`
            sent; then `hf:ORG/NAME` is a MODEL for every other verb, and `dir` the model's own
            folder.
        dir: the cache to put it in; default METACLI_CACHE or the platform's cache folder.
        from_path: a local archive, a folder of archives, or an unpacked archive.

    Raises:
        DownloadError: nothing that could be reached has the right contents; every address tried
            is named.
        DataError: no data set of that name.
    """
    if name.startswith(HUB_PREFIX):
        return fetch_model(name, None if dir is None else Path(dir), force=force, report=report)
    cache = Path(dir).absolute() if dir is not None else cache_root()
    if is_installed_name(name):
        return installed(name)
    if is_hub_name(name):
        return fetch_network(name, cache, from_path, force=force, report=report)
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


def fetch_model(words: str, folder: Path | None, *, force: bool, report: Reporter) -> FetchResult:
    """A model of a hub, checked as every model folder is. Raises as `fetch`, and BundleError."""
    name = hub_name(words)
    target = hub_folder(words) if folder is None else folder.absolute()
    if folder is None and not force and (target / MODEL_FILE).is_file():
        size = sum(map(len, read_folder(target).values()))
        return FetchResult(words, target, size, file_digest(target / MODEL_FILE), True)
    if offline():
        raise DownloadError(
            f"{words} is not in the cache, and METACLI_OFFLINE is set",
            code="fetch.offline",
            hint=f"bring the model folder, or unset METACLI_OFFLINE and metacli fetch {words}",
        )
    report(Progress(f"fetching {words}", 0, None))
    made = bring(name, target, replace=force)
    digest = file_digest(target / MODEL_FILE)
    return FetchResult(words, target, made.bytes, digest, False, made.revision)


def place_of_network(name: str, dir: str | None) -> Path | None:
    """Where `fetch owner/name` would keep a network; None for another kind of name."""
    if not is_hub_name(name):
        return None
    return place_of(name, Path(dir).absolute() if dir else cache_root())


def file_digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def fetchable() -> list[Fetchable]:
    """What `fetch` knows: name, one line, where it comes from; and the encoders that are there."""
    sets = [
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
    return [*sets, *networks()]
