"""Reads the members of an archive into memory and checks them. Nothing is ever unpacked to disk.

An archive from outside may be anything: names that climb out of a folder, links, a few kilobytes
that inflate to terabytes. Names are only keys here, and counts and sizes are limited by what the
registry says before and while a member is read.
"""

from __future__ import annotations

import gzip
import hashlib
import os
import stat
import zipfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from metacli.data.cache.store import Report
from metacli.data.catalogue.cifar_binary import read_binary
from metacli.data.catalogue.entries import Archive
from metacli.errors import DownloadError

Members = dict[str, bytes]
OTHER_FILES = 5_000  # folders, notes and the like beside the members
SLACK = 1_000_000  # bytes beyond the registry's; the digest tells what differs


def read_archive(path: Path, archives: Sequence[Archive], report: Report) -> Members:
    """The members of a file by the last parts of their paths.

    Args:
        archives: whose members the file may hold; one, or all of a data set in one file.
    Raises:
        DownloadError: not packed as it should be, damaged, or beyond the limits.
    """
    if archives[0].packing == "zip":
        return read_zip(path, archives, report)
    if archives[0].packing == "none":
        return read_plain(path, archives)
    if archives[0].packing == "cifar":
        return read_binary(path)
    named = next((one for one in archives if one.name == path.name), archives[0])
    return {named.name.removesuffix(".gz"): read_gzip(path, named)}


def read_plain(path: Path, archives: Sequence[Archive]) -> Members:
    """A file that is not packed, by its name. Raises DownloadError: unreadable, or too large."""
    named = next((one for one in archives if one.name == path.name), archives[0])
    try:
        with path.open("rb") as file:
            content = file.read(named.unpacked + 1)
    except OSError as error:
        raise _bad(path, f"cannot be read: {error.strerror or error}") from error
    if len(content) > named.unpacked:
        raise _bad(path, f"more than the {named.unpacked} bytes that were expected")
    return {named.name: content}


def read_gzip(path: Path, archive: Archive) -> bytes:
    """What a gzip file holds, never more than the registry says.

    Raises:
        DownloadError: no gzip file, damaged, or too large.
    """
    try:
        with gzip.open(path) as file:
            content = file.read(archive.unpacked + 1)
    except (gzip.BadGzipFile, zlib.error, EOFError) as error:
        raise _bad(path, f"{_nature(path, 'gzip file')}: {error}") from error
    except OSError as error:
        raise _bad(path, f"cannot be read: {error.strerror or error}") from error
    if len(content) > archive.unpacked:
        raise _bad(path, f"more than the {archive.unpacked} bytes that were expected")
    return content


def read_zip(path: Path, archives: Sequence[Archive], report: Report) -> Members:
    """The members of a zip by the last parts of their paths.

    Args:
        archives: whose members the file may hold; one, or all of a data set in one file.
    Raises:
        DownloadError: not a zip, damaged, or beyond the limits.
    """
    try:
        with zipfile.ZipFile(path) as opened:
            return _members(opened, path, archives, report)
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError) as error:
        raise _bad(path, f"{_nature(path, 'zip archive')}: {error}") from error
    except OSError as error:
        raise _bad(path, f"cannot be read: {error.strerror or error}") from error
    except (ValueError, OverflowError) as error:  # offsets and dates that make no sense
        raise _bad(path, f"damaged: {error}") from error


def _members(
    opened: zipfile.ZipFile, path: Path, archives: Sequence[Archive], report: Report
) -> Members:
    entries = opened.infolist()
    wanted = [one for one in entries if _is_member(one.filename, archives[0].suffix)]
    _check_limits(path, entries, wanted, archives)
    members: Members = {}
    for number, entry in enumerate(wanted, 1):
        key = _key(entry.filename, archives[0].depth)
        if key in members:
            raise _bad(path, f"{key} is there twice")
        with opened.open(entry) as file:
            members[key] = file.read(entry.file_size)  # never more than was counted
            if file.read(1):
                raise _bad(path, f"{key} is larger than it says")
        if number % 1000 == 0 or number == len(wanted):
            report(f"reading {path.name}", number, len(wanted))
    return members


def _check_limits(
    path: Path,
    entries: Sequence[zipfile.ZipInfo],
    wanted: Sequence[zipfile.ZipInfo],
    archives: Sequence[Archive],
) -> None:
    most = 2 * sum(one.members for one in archives) + OTHER_FILES
    if len(entries) > most:
        raise _bad(path, f"{len(entries)} entries; at most {most} were expected")
    size, room = sum(one.file_size for one in wanted), _room(archives)
    if size > room:
        raise _bad(path, f"{size} bytes unpacked; at most {room} were expected")
    for one in wanted:
        kind = stat.S_IFMT(one.external_attr >> 16)
        if kind not in (0, stat.S_IFREG):
            raise _bad(path, f"{one.filename!r} is not a regular file")
        if one.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise _bad(path, f"{one.filename!r} is packed in an unusual way")


def read_folder(path: Path, archives: Sequence[Archive], report: Report) -> Members:
    """The same members from an unpacked folder; links and special files are left out.

    Raises:
        DownloadError: beyond the limits, or the same member twice.
    """
    members: Members = {}
    size, room = 0, _room(archives)
    for file in regular_files(path):
        if not _is_member(file.name, archives[0].suffix):
            continue
        key = _key(file.relative_to(path.parent).as_posix(), archives[0].depth)
        if key in members:
            raise _bad(path, f"{key} is there twice")
        size += file.stat().st_size
        if size > room:
            raise _bad(path, f"more than {room} bytes; that is not the data set alone")
        members[key] = file.read_bytes()
        if len(members) % 1000 == 0:
            report(f"reading {path.name}", len(members), None)
    return members


def regular_files(folder: Path) -> Iterator[Path]:
    """Regular files below a folder in the order of their names; no link is followed."""
    for where, folders, names in os.walk(folder):
        folders.sort()
        for name in sorted(names):
            file = Path(where, name)
            if stat.S_ISREG(file.lstat().st_mode):
                yield file


def share_out(members: Mapping[str, bytes], archives: Sequence[Archive]) -> list[Members]:
    """Which members belong to which archive, by the first part of their paths.

    What belongs to none goes to the first, whose check then says so.
    """
    shares: list[Members] = [{} for _ in archives]
    for key, content in members.items():
        group = key.partition("/")[0]
        place = next((i for i, one in enumerate(archives) if group in one.groups), 0)
        shares[place][key] = content
    return shares


def check_members(members: Mapping[str, bytes], archive: Archive, where: str) -> None:
    """Raises: DownloadError when a member is missing, altered or too many."""
    what = archive.suffix.strip(".-").upper()
    what = f"{what} files" if what else "files"
    if len(members) != archive.members:
        raise DownloadError(
            f"{archive.name}: expected {archive.members} {what}, got {len(members)}",
            code="download.checksum",
            where=where,
        )
    got = contents_digest(members)
    if got != archive.contents:
        raise DownloadError(
            f"{archive.name}: the files are not the expected ones: expected SHA-256 "
            f"{archive.contents}, got {got}",
            code="download.checksum",
            where=where,
        )


def contents_digest(members: Mapping[str, bytes]) -> str:
    """SHA-256 of the lines `path SHA-256`, sorted by path: the same however they are packed."""
    whole = hashlib.sha256()
    for key in sorted(members):
        line = f"{key} {hashlib.sha256(members[key]).hexdigest()}\n"
        whole.update(line.encode("utf-8", "surrogateescape"))
    return whole.hexdigest()


def _is_member(name: str, suffix: str) -> bool:
    base = name.rpartition("/")[2]
    return (
        bool(base)
        and base.endswith(suffix)
        and not base.startswith(".")
        and "__MACOSX/" not in name
    )


def _key(name: str, depth: int) -> str:
    return "/".join(name.split("/")[-depth:])


def _room(archives: Sequence[Archive]) -> int:
    return sum(one.unpacked for one in archives) + SLACK


def _nature(path: Path, wanted: str) -> str:
    with path.open("rb") as file:
        start = file.read(256)
    return f"a web page, not a {wanted}" if start.lstrip()[:1] == b"<" else f"no whole {wanted}"


def _bad(path: Path, why: str) -> DownloadError:
    return DownloadError(f"{path.name}: {why}", code="download.bad_archive", where=str(path))
