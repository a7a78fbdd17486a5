"""Fetches a data set into the cache: verified, and whole or not at all."""

from __future__ import annotations

import contextlib
import hashlib
import http.client
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

from metacli import __version__
from metacli.data.cache import kept_files as task_files
from metacli.data.cache.archives import (
    Members,
    check_members,
    read_archive,
    read_folder,
    regular_files,
    share_out,
)
from metacli.data.cache.store import Report, explained, locked, read_stored, replacing, silent
from metacli.data.catalogue.entries import Archive, DataSet
from metacli.data.catalogue.registry import find, resolve
from metacli.errors import DownloadError, Finding

CHUNK = 1 << 16
TIMEOUT = 30.0  # seconds without a byte
NEED = 60_000_000  # bytes; for the message when the disk is full
WEB = ("http", "https")
KEPT = "metacli.data.cache.kept_files:keep"


@dataclass(frozen=True)
class FetchResult:
    """What `fetch` reports.

    Args:
        path: the data set's folder in the cache.
        bytes: its size; 0 for what is never kept.
        digest: SHA-256 hex of the contents; None for what is made where it is used.
        from_cache: nothing had to be done.
    """

    name: str
    path: Path
    bytes: int
    digest: str | None
    from_cache: bool


def fetch_dataset(
    name: str,
    cache: Path,
    *,
    mirror: str | None = None,
    offline: bool = False,
    from_: Path | None = None,
    report: Report = silent,
    force: bool = False,
) -> FetchResult:
    """Brings a data set into the cache.

    Args:
        cache: the cache's root.
        mirror: a folder, searched by archive name, or an http(s) base; tried before the official
            addresses.
        offline: opens no socket.
        from_: an archive, a folder of archives or an unpacked folder, instead of everything else.
        force: fetches again what is there already.
    Raises:
        DataError: unknown name, or a damaged cache and no `force`.
        DownloadError: no source had it whole and unaltered.
        EnvironmentProblem: the cache cannot be written.
        RunFailed: the disk is full.
    """
    found = find(name)
    if not found.builder:
        return FetchResult(name, cache, 0, None, True)
    folder = cache / found.folder
    with explained(cache, 0):
        there = not force and stored_contents(found, folder) is not None
    if there:  # a cache may be read-only
        return _result(found, folder, True)
    with locked(cache, found.folder):
        if not force and stored_contents(found, folder) is not None:  # another process was first
            return _result(found, folder, True)
        with replacing(folder, NEED) as fresh:
            members: Members = {}
            for one in found.archives:
                if from_ is not None:
                    members |= _given(found, one, from_, report)
                else:
                    members |= _obtain(found, one, mirror, offline, fresh.parent, report)
            resolve(found.builder)(members, fresh, found.options(), report)
        return _result(found, folder, False)


def stored_contents(found: DataSet, folder: Path) -> str | None:
    """Digest of what the cache holds; None when there is nothing. Raises DataError: damaged."""
    if found.builder == KEPT:
        return task_files.stored_contents(folder, found.name)
    stored = read_stored(folder, found.name)
    return None if stored is None else stored.contents


def _result(found: DataSet, folder: Path, from_cache: bool) -> FetchResult:
    contents = stored_contents(found, folder)
    assert contents is not None  # read or written a moment ago
    size = sum(one.stat().st_size for one in regular_files(folder))
    return FetchResult(found.name, folder, size, contents, from_cache)


def _given(found: DataSet, archive: Archive, path: Path, report: Report) -> Members:
    """An archive's members from where the user says they are."""
    if archive.shipped:
        return shipped(archive)
    if not path.exists():
        message = f"nothing to fetch {found.name} from: no such file or folder"
        raise DownloadError(message, code="download.not_found", where=str(path))
    packed = [path] if path.is_file() else list(regular_files(path))
    for one in (archive, archive.other):
        there = next((file for file in packed if one is not None and file.name == one.name), None)
        if one is not None and there is not None and (path.is_dir() or one is archive.other):
            members = read_archive(there, (one,), report)
            check_members(members, one, str(there))
            return members
    if path.is_file():
        members = read_archive(path, found.archives, report)
    else:
        members = read_folder(path, found.archives, report)
    share = share_out(members, found.archives)[found.archives.index(archive)]
    check_members(share, archive, str(path))
    return share


def _obtain(
    found: DataSet,
    archive: Archive,
    mirror: str | None,
    offline: bool,
    scratch: Path,
    report: Report,
) -> Members:
    """An archive's members from the first source that has them unaltered."""
    if archive.shipped:
        return shipped(archive)
    failed: list[Finding] = []
    for place in _places(found, archive, mirror):
        shown = str(place)
        try:
            if isinstance(place, str):
                place = _download(online(place, offline), archive, scratch, report)
            members = read_archive(place, (archive,), report)
            check_members(members, archive, shown)
        except DownloadError as error:
            failed.append(Finding("error", error.code, error.message, where=shown))
        else:
            return members
    try:
        if archive.raw:
            return _one_by_one(archive, offline, scratch, report)
        if archive.other is not None:
            return _obtain(found, archive.other, mirror, offline, scratch, report)
    except DownloadError as error:
        failed += error.findings or [Finding("error", error.code, error.message, error.where)]
    raise _all_failed(found, archive, failed, offline)


def shipped(archive: Archive) -> Members:
    """The file that is part of metacli. Raises DownloadError: it was altered."""
    place = files("metacli.data.catalogue.lists").joinpath(archive.shipped)
    members = {archive.name: place.read_bytes()}
    check_members(members, archive, str(place))
    return members


def online(address: str, offline: bool) -> str:
    """The address. Raises DownloadError: no socket may be opened."""
    if offline:
        raise DownloadError("offline: no socket is opened", code="download.offline", where=address)
    return address


def _one_by_one(archive: Archive, offline: bool, scratch: Path, report: Report) -> Members:
    """Members that the public holds as single files.

    Raises:
        DownloadError: one that does not come, or is another; it is named.
    """
    members: Members = {}
    for number, one in enumerate(archive.raw, 1):
        try:
            address, whole = online(one.url, offline), b""
            with contextlib.closing(_chunks(address, archive.unpacked)) as chunks:
                whole = b"".join(chunk for _, chunk in chunks)
        except DownloadError as error:
            raise DownloadError(error.message, code=error.code, where=one.url) from error
        if (got := hashlib.sha256(whole).hexdigest()) != one.sha256:
            message = f"{one.key} is another: expected SHA-256 {one.sha256}, got {got}"
            raise DownloadError(message, code="download.checksum", where=one.url)
        members[one.key] = whole
        report(f"downloading {archive.name.removesuffix('.zip')}", number, len(archive.raw))
    check_members(members, archive, archive.raw[0].url)
    return members


def _places(found: DataSet, archive: Archive, mirror: str | None) -> Iterator[Path | str]:
    """Files and addresses to try, the mirror's first."""
    if mirror and "://" in mirror:
        base = mirror.rstrip("/")
        yield f"{base}/{archive.name}"
        yield f"{base}/{found.name}/{archive.name}"
    elif mirror:
        there = [one for one in regular_files(Path(mirror)) if one.name == archive.name]
        yield from there or [Path(mirror, archive.name)]  # so that the error names it
    yield from archive.urls


def _all_failed(
    found: DataSet, archive: Archive, failed: list[Finding], offline: bool
) -> DownloadError:
    codes = {one.code for one in failed}
    code = "download.checksum" if "download.checksum" in codes else "download.failed"
    if codes and codes <= {"download.offline"}:
        code = "download.offline"
    hint = _from_hint(found, archive)
    if offline:
        hint = f"unset METACLI_OFFLINE, or set METACLI_MIRROR to a folder, or {hint}"
    tried = "; ".join(f"{one.where}: {one.message}" for one in failed)
    tried += f"; {archive.source}" if archive.source else ""
    return DownloadError(
        f"{archive.name} of {found.name} could not be fetched - {tried}",
        code=code,
        hint=hint,
        findings=failed,
    )


def _from_hint(found: DataSet, archive: Archive) -> str:
    also = f" or {archive.other.name}" if archive.other is not None else ""
    if archive.raw:
        also = f", or the files themselves ({archive.raw[0].key}, ...),"
    return (
        f"metacli fetch {found.name} --from PATH takes {archive.name}{also} from a folder of yours"
    )


def _download(url: str, archive: Archive, scratch: Path, report: Report) -> Path:
    """The file behind an address, in the scratch folder.

    Raises:
        DownloadError: no answer, a refused redirect, cut short, or larger than twice the official
            file, since mirrors may pack it otherwise.
    """
    target, done, most = scratch / archive.name, 0, 2 * archive.bytes
    with target.open("wb") as file, contextlib.closing(_chunks(url, most)) as chunks:
        for total, chunk in chunks:
            file.write(chunk)
            done += len(chunk)
            report(f"downloading {archive.name}", done, total)
    return target


def _chunks(url: str, most: int) -> Generator[tuple[int | None, bytes], None, None]:
    """Pieces of a download, each with the length that the server announced."""
    if urllib.parse.urlsplit(url).scheme not in WEB:
        raise DownloadError("only http and https addresses are opened", code="download.scheme")
    request = urllib.request.Request(url, headers={"User-Agent": f"metacli/{__version__}"})
    done = 0
    try:
        with _opener().open(request, timeout=TIMEOUT) as response:
            announced = response.headers.get("Content-Length", "")
            total = int(announced) if announced.isdecimal() else None
            while chunk := response.read(CHUNK):
                done += len(chunk)
                if max(done, total or 0) > most:
                    message = f"larger than the {most} bytes that are allowed"
                    raise DownloadError(message, code="download.too_large")
                yield total, chunk
    except urllib.error.HTTPError as error:
        error.close()
        raise DownloadError(f"{error.code} {error.reason}", code="download.refused") from error
    except (OSError, http.client.HTTPException, ValueError) as error:
        reason = getattr(error, "reason", None) or error
        raise DownloadError(f"no answer: {reason}", code="download.no_answer") from error
    if total is not None and done != total:
        message = f"cut short: got {done} of {total} bytes"
        raise DownloadError(message, code="download.cut_short")


class _WebOnly(urllib.request.HTTPRedirectHandler):
    """Follows a redirect to http and https only; the library would open ftp as well."""

    def redirect_request(self, req, fp, code, msg, headers, newurl):  # type: ignore[no-untyped-def]
        if urllib.parse.urlsplit(newurl).scheme not in WEB:
            fp.close()
            message = f"a redirect to {newurl} is refused"
            raise DownloadError(message, code="download.redirect")
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _opener() -> urllib.request.OpenerDirector:
    """An opener that knows http and https and nothing else: no file, ftp or data addresses."""
    opener = urllib.request.OpenerDirector()
    for handler in (
        urllib.request.ProxyHandler(),
        urllib.request.UnknownHandler(),
        urllib.request.HTTPHandler(),
        urllib.request.HTTPSHandler(),
        urllib.request.HTTPDefaultErrorHandler(),
        _WebOnly(),
        urllib.request.HTTPErrorProcessor(),
    ):
        opener.add_handler(handler)
    return opener
