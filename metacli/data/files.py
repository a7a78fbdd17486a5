"""What lies in a folder, and the bytes of one file: links, pipes and devices are never opened."""

from __future__ import annotations

import os
import re
import stat
from dataclasses import dataclass
from pathlib import Path, PurePath

from metacli.errors import DataError

MAX_FILE_BYTES = (
    512 * 2**20
)  # an image of 50 megapixels with four channels of 16 bit, uncompressed, fits

_SYSTEM_NAMES = frozenset({"__macosx", "thumbs.db", "ehthumbs.db", "desktop.ini", "@eadir"})
# Control characters and what reorders text on a screen; letters of any script stay as they are.
_UNSAFE = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")


def shown(name: str | os.PathLike[str]) -> str:
    """A name that may be printed and written as UTF-8: odd bytes and control characters as `\\x..`.

    The result does not depend on the locale.
    """
    text = os.fspath(name)
    if text.isascii() and text.isprintable():
        return text
    text = os.fsencode(text).decode("utf-8", "backslashreplace")
    return _UNSAFE.sub(lambda found: found[0].encode("unicode_escape").decode("ascii"), text)


def is_system_file(name: str) -> bool:
    """Hidden files and what operating systems leave behind; they are never read."""
    return name.startswith(".") or name.casefold() in _SYSTEM_NAMES


@dataclass(frozen=True, slots=True)
class Entries:
    """The names in one folder, in byte order whatever the file system and the locale say."""

    folders: tuple[str, ...]
    files: tuple[str, ...]
    links: tuple[str, ...]
    specials: tuple[str, ...]  # pipes, sockets, devices
    ignored: int  # hidden and system files


def scan(folder: Path, *, follow: bool = False) -> Entries:
    """Lists a folder without opening anything in it.

    Args:
        follow: links are what they lead to, unless that is nothing, or holds this folder; otherwise
            they stay links.
    Raises:
        DataError: the folder is missing or may not be listed.
    """
    folders: list[str] = []
    files: list[str] = []
    links: list[str] = []
    specials: list[str] = []
    ignored = 0
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                if is_system_file(entry.name):
                    ignored += 1
                elif entry.is_symlink() and not (follow and _leads_on(folder, entry.name)):
                    links.append(entry.name)
                elif entry.is_dir(follow_symlinks=follow):
                    folders.append(entry.name)
                elif entry.is_file(follow_symlinks=follow):
                    files.append(entry.name)
                else:
                    specials.append(entry.name)
    except (OSError, ValueError) as error:
        raise unopened(folder, error) from error
    for names in (folders, files, links, specials):
        names.sort(key=os.fsencode)
    return Entries(tuple(folders), tuple(files), tuple(links), tuple(specials), ignored)


def _leads_on(folder: Path, name: str) -> bool:
    """Whether a link leads to something that does not hold the folder that it lies in."""
    target = os.path.realpath(folder / name)
    return mode_of(Path(target)) != 0 and not os.path.realpath(folder).startswith(target)


def resolved(path: Path, *, follow: bool) -> Path:
    """The file itself where links are followed; the path otherwise."""
    return Path(os.path.realpath(path)) if follow else path


def way_out(folder: Path, name: str) -> str | None:
    """How a name in a folder leads out of it, in words; None where it stays inside.

    Raises nothing: what is not there leads nowhere.
    """
    if Path(name).is_absolute():
        return "is an absolute path"
    parts = PurePath(name).parts
    if ".." in parts:
        return "leads out of the folder"
    for count in range(1, len(parts) + 1):
        part = PurePath(*parts[:count])
        if stat.S_ISLNK(mode_of(folder / part)):
            return f"goes through the link {shown(part)}"
    return None


def mode_of(path: Path) -> int:
    """The `st_mode` of a path itself, not of what it links to; 0 where there is nothing to ask."""
    try:
        return os.lstat(path).st_mode
    except (OSError, ValueError):
        return 0


def unopened(path: Path, error: Exception) -> DataError:
    """The DataError for a path that the operating system refuses."""
    name = shown(path)
    if isinstance(error, FileNotFoundError):
        return DataError("no such file or folder", code="data.missing", where=name)
    reason = getattr(error, "strerror", None) or str(error)
    return DataError(f"{name} cannot be read: {reason}", code="data.unreadable", where=name)


def read_regular(path: Path) -> bytes:
    """The bytes of a regular file.

    Raises:
        DataError: missing, no permission, empty, larger than MAX_FILE_BYTES, or no regular file.
    """
    try:
        _require_regular(path, os.lstat(path))
        # The file may have been swapped since: a link is refused and a pipe does not block.
        flags = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
        descriptor = os.open(path, flags | getattr(os, "O_BINARY", 0))
        with os.fdopen(descriptor, "rb") as file:
            status = os.fstat(descriptor)
            _require_regular(path, status)
            return file.read(status.st_size)
    except (OSError, ValueError) as error:
        raise unopened(path, error) from error


def _require_regular(path: Path, status: os.stat_result) -> None:
    name = shown(path)
    if stat.S_ISLNK(status.st_mode):
        raise link_refused(path)
    if stat.S_ISDIR(status.st_mode):
        raise DataError(
            f"{name} is a folder in which no file can be read", code="data.folder", where=name
        )
    if not stat.S_ISREG(status.st_mode):
        raise special_refused(path)
    if status.st_size > MAX_FILE_BYTES:
        size = f"larger than {MAX_FILE_BYTES // 2**20} MiB"
        raise DataError(f"{name} is {size}", code="data.file_too_large", where=name)
    if status.st_size == 0:
        raise DataError(f"{name} is empty (0 bytes)", code="data.empty_file", where=name)


def link_refused(path: Path) -> DataError:
    return DataError(
        f"{shown(path)} is a symbolic link, and links are not followed",
        code="data.link",
        where=shown(path),
        hint="put the file itself there, or a hard link",
    )


def special_refused(path: Path) -> DataError:
    return DataError(
        f"{shown(path)} is a pipe, socket or device, not a regular file",
        code="data.special_file",
        where=shown(path),
    )
