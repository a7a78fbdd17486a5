"""Files of sets of tasks in the cache: kept as they were verified, with their digests."""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from collections.abc import Mapping
from pathlib import Path, PurePosixPath

from metacli.data.cache.store import Report
from metacli.data.catalogue.options import Options
from metacli.errors import DataError

INDEX = "index.json"
FORMAT = 1


def keep(files: Mapping[str, bytes], folder: Path, options: Options, report: Report) -> None:
    """The builder of these sets: the files as they are, into an existing empty folder."""
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)  # a member may lie in a folder
        (folder / name).write_bytes(content)
    index = {"format": FORMAT, "files": {name: digest(c) for name, c in files.items()}}
    (folder / INDEX).write_text(json.dumps(index), encoding="utf-8")


def read_file(cache: Path, name: str, file: str) -> bytes:
    """A file of the cache.

    Raises:
        DataError: not fetched yet, or not what was written.
    """
    folder = cache / name
    index = read_index(folder, name)
    if index is None:
        raise DataError(
            f"{name} has not been fetched yet",
            code="data.not_fetched",
            where=str(folder),
            hint=f"metacli fetch {name}",
        )
    try:
        content = (folder / file).read_bytes()
    except OSError as error:
        raise damaged(folder, name) from error
    if index.get(file) != digest(content):
        raise damaged(folder, name)
    return content


def read_members(cache: Path, name: str, packed: str) -> dict[str, bytes]:
    """The files of a set that has one archive of members, by name.

    Args:
        packed: the zip that earlier versions kept instead of its members.
    Raises:
        DataError: not fetched yet, or not what was written.
    """
    index = read_index(cache / name, name) or {}
    if packed not in index:
        if not index:
            read_file(cache, name, packed)  # says that nothing is there
        return {one: read_file(cache, name, one) for one in index}
    with zipfile.ZipFile(io.BytesIO(read_file(cache, name, packed))) as archive:
        return {one: archive.read(one) for one in archive.namelist()}


def stored_contents(folder: Path, name: str) -> str | None:
    """One digest of all files; None when nothing is there. Raises DataError: damaged."""
    index = read_index(folder, name)
    if index is None:
        return None
    for file in index:
        read_file(folder.parent, folder.name, file)
    return digest(json.dumps(index, sort_keys=True).encode())


def read_index(folder: Path, name: str) -> dict[str, str] | None:
    """File name -> SHA-256; None when there is none. Raises DataError: damaged."""
    if not (folder / INDEX).is_file():
        return None
    try:
        index = json.loads((folder / INDEX).read_bytes())
        if index["format"] == FORMAT:
            files = dict(index["files"])
            if all(_is_inside(file) and isinstance(sum_, str) for file, sum_ in files.items()):
                return files
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        pass
    raise damaged(folder, name)


def _is_inside(file: str) -> bool:
    """Whether a name of the index stays below the folder, whoever wrote it."""
    path = PurePosixPath(file)
    return bool(path.parts) and not path.is_absolute() and ".." not in path.parts


def damaged(folder: Path, name: str) -> DataError:
    return DataError(
        f"the cached copy of {name} is damaged",
        code="data.damaged_cache",
        where=str(folder),
        hint=f"metacli fetch {name} --force",
    )


def digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
