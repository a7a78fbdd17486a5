"""The one place that writes files: whole or not at all, and read back only if no bit has changed.

A file is serialised to memory, written under a temporary name in the same folder, synced, renamed,
and the folder synced. A folder of files is the same one level up, with a manifest of SHA-256 sums
inside. Temporary names begin with `.metacli-`, so that `sweep` can clear what a crash left behind.
"""

from __future__ import annotations

import hashlib
import json
import os
import secrets
from collections.abc import Collection, Mapping
from contextlib import suppress
from pathlib import Path
from typing import TypedDict

from metacli.engine.results.base import Json
from metacli.engine.storage.disk import (
    damaged,
    is_stream,
    make_folder,
    read_regular,
    reading,
    regular_or_missing,
    remove,
    sync_folder,
    write_new,
    write_stream,
    writing,
)
from metacli.engine.storage.serial import bytes_to_tensors, json_bytes, tensors_to_bytes
from metacli.errors import BundleError

__all__ = [
    "MANIFEST",
    "bytes_to_tensors",
    "json_bytes",
    "manifest_bytes",
    "read_folder",
    "sweep",
    "tensors_to_bytes",
    "write_file",
    "write_folder",
    "write_json",
    "write_output",
]

MANIFEST = "manifest.json"
MANIFEST_FORMAT = 1
TEMPORARY = ".metacli-tmp-"
_ASIDE = ".metacli-old-"
# What file managers leave in any folder that is looked at; read by nobody here.
_CLUTTER = frozenset({".DS_Store", "Thumbs.db", "desktop.ini"})


def write_file(path: Path, data: bytes) -> None:
    """Write `data` to `path`; a crash leaves the old content or the new, never a part. A link is
    followed to the file that it names.

    Raises:
        RunFailed: no space left, or the disk fails.
        EnvironmentProblem: no permission, a read-only disk, no such path, or a path that is a
            folder, device, pipe or socket: only a regular file is ever renamed over.
    """
    with writing(path, len(data)):
        path = regular_or_missing(path)
        make_folder(path.parent)
        temporary = _temporary(path)
        try:
            write_new(temporary, data)
            temporary.replace(path)
        except BaseException:
            remove(temporary)
            raise
        sync_folder(path.parent)


def write_output(path: Path, data: bytes) -> None:
    """Write a result to what a user named with `-o`: a file whole or not at all; a device, pipe or
    socket as the stream that it is, so that `-o /dev/null` and `-o >(less)` work.

    Raises:
        RunFailed, EnvironmentProblem: as for `write_file`.
    """
    if is_stream(path):
        with writing(path, len(data)):
            write_stream(path, data)
    else:
        write_file(path, data)


def write_json(path: Path, value: Json) -> None:
    """`write_file` of `json_bytes(value)`."""
    write_file(path, json_bytes(value))


def write_folder(target: Path, files: Mapping[str, bytes], *, replace: bool = False) -> None:
    """Write a folder of `files` and their manifest; `target` appears whole or not at all.

    An empty folder at `target` is taken over. With `replace` an existing folder is first renamed
    aside (to `.metacli-old-NAME` beside it) and removed once the new one is in place. A crash in
    between leaves the old content whole under one of the two names: `read_folder` reads the one
    aside while `target` is missing, and `sweep` of the parent puts it back.

    Raises:
        BundleError: `target` exists and `replace` is false, or it was not made by this function.
        RunFailed, EnvironmentProblem: as for `write_file`.
    """
    _check_names(files)
    content = {**files, MANIFEST: manifest_bytes(files)}
    with writing(target, sum(map(len, content.values()))):
        if os.path.lexists(target):
            _check_replaceable(target, replace)
        make_folder(target.parent)
        temporary = _temporary(target)
        try:
            temporary.mkdir()
            for name, data in content.items():
                write_new(temporary / name, data)
            sync_folder(temporary)
            _put_in_place(temporary, target)
        except BaseException:
            remove(temporary)
            raise
        sync_folder(target.parent)
        remove(_aside(target))


def read_folder(
    path: Path, *, edited: Collection[str] = (), others: Collection[str] = ()
) -> dict[str, bytes]:
    """The files of a folder that `write_folder` made, each checked against the manifest.

    Args:
        edited: files that may have been changed since. others: names beside them that are not ours.

    Raises:
        BundleError: no such folder; a file (named) is damaged, missing, unlisted or not regular.
        EnvironmentProblem: no permission.
    """
    with reading(path):
        if not os.path.lexists(path) and _aside(path).is_dir():
            path = _aside(path)  # a replacement was cut off between its two renames
        if not path.is_dir():
            raise BundleError("no such folder", code="model.not_found", where=str(path))
        listed = _listing(path)
        found = {entry.name for entry in path.iterdir()} - _CLUTTER - {MANIFEST} - set(others)
    for name in sorted(found ^ set(listed)):
        raise damaged(path / name, "is missing" if name in listed else "is not in the manifest")
    content: dict[str, bytes] = {}
    for name, entry in listed.items():
        with reading(path / name):
            data = read_regular(path / name, None if name in edited else entry["bytes"])
        if name not in edited and hashlib.sha256(data).hexdigest() != entry["sha256"]:
            raise damaged(path / name, "is damaged: its checksum differs")
        content[name] = data
    return content


def sweep(folder: Path) -> list[str]:
    """Clear what a crash left in `folder`; put back a folder that was set aside and not replaced.

    Call it only while nobody else writes there, that is, under the run's lock. Returns the names
    that were dealt with.

    Raises:
        EnvironmentProblem: no permission.
    """
    done: list[str] = []
    with writing(folder, 0):
        names = sorted(entry.name for entry in folder.iterdir()) if folder.is_dir() else []
        for name in names:
            path = folder / name
            if name.startswith(_ASIDE):
                target = folder / name.removeprefix(_ASIDE)
                if os.path.lexists(target):
                    remove(path)
                else:
                    path.rename(target)
            elif name.startswith(TEMPORARY):
                remove(path)
            else:
                continue
            done.append(name)
        if done:
            sync_folder(folder)
    return done


def manifest_bytes(files: Mapping[str, bytes]) -> bytes:
    """The manifest of `files`: size and SHA-256 of each, and the SHA-256 of the list itself."""
    entries: dict[str, Json] = {
        name: {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
        for name, data in files.items()
    }
    return _sealed({"format": MANIFEST_FORMAT, "files": entries})


def _sealed(body: Mapping[str, Json]) -> bytes:
    return json_bytes({**body, "sha256": hashlib.sha256(json_bytes(body)).hexdigest()})


def _listing(path: Path) -> dict[str, _Entry]:
    """The manifest's entries, once the manifest itself is known to be as it was written."""
    place = path / MANIFEST
    if not os.path.lexists(place):
        raise damaged(place, "is missing: not a complete model or checkpoint")
    data = read_regular(place)
    try:
        value = json.loads(data)
        del value["sha256"]
        # Sealed again it has to be the same bytes: no flipped bit, not even in white space, passes.
        intact = data == _sealed(value)
        number, files = value["format"], _entries(value["files"])
    except (ValueError, KeyError, AttributeError, TypeError, RecursionError):
        raise damaged(place, "is damaged: not a manifest") from None
    if not intact:
        raise damaged(place, "is damaged: its checksum differs")
    if number != MANIFEST_FORMAT:
        raise BundleError(
            f"{MANIFEST} has format {number}, this metacli reads {MANIFEST_FORMAT}",
            code="model.newer",
            where=str(place),
            hint="use a newer metacli",
        )
    return files


class _Entry(TypedDict):
    bytes: int
    sha256: str


def _entries(files: Mapping[str, Mapping[str, Json]]) -> dict[str, _Entry]:
    """The list of files as it may be. Raises ValueError for anything else, whoever sealed it."""
    found: dict[str, _Entry] = {}
    for name, entry in files.items():
        size, digest = entry["bytes"], entry["sha256"]
        if not isinstance(size, int) or isinstance(size, bool) or not isinstance(digest, str):
            raise ValueError("no size and checksum")
        found[name] = _Entry(bytes=size, sha256=digest)
    _check_names(dict.fromkeys(found, b""))
    return found


def _check_names(files: Mapping[str, bytes]) -> None:
    for name in files:
        if name in ("", ".", "..", MANIFEST) or name in _CLUTTER or {"/", "\\", "\0"} & set(name):
            raise ValueError(f"not a plain file name: {name!r}")


def _check_replaceable(target: Path, replace: bool) -> None:
    """Refuse to remove what was not made here: --force must not cost users their own files."""
    is_folder = target.is_dir() and not target.is_symlink()
    if is_folder and not any(target.iterdir()):
        return
    if not replace:
        raise BundleError(
            "already exists", code="output.exists", where=str(target), hint="--force replaces it"
        )
    if not is_folder or not (target / MANIFEST).is_file():
        raise BundleError(
            "exists and was not made by metacli: not replaced",
            code="output.foreign",
            where=str(target),
            hint="give another place, or remove it yourself",
        )


def _put_in_place(temporary: Path, target: Path) -> None:
    if not os.path.lexists(target):
        temporary.rename(target)
        return
    aside = _aside(target)
    remove(aside)  # older than target, left by a crash
    target.rename(aside)
    try:
        temporary.rename(target)
    except BaseException:
        with suppress(OSError):
            aside.rename(target)
        raise


def _temporary(path: Path) -> Path:
    return path.parent / f"{TEMPORARY}{secrets.token_hex(8)}"


def _aside(path: Path) -> Path:
    return path.parent / f"{_ASIDE}{path.name}"
