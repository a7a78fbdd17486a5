"""Single steps on the disk, each synced, and what their failures mean to the user."""

from __future__ import annotations

import errno
import math
import os
import re
import shutil
import socket
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from metacli.errors import BundleError, EnvironmentProblem, MetacliError, RunFailed

_FULL = (errno.ENOSPC, errno.EDQUOT)
_FORBIDDEN = (errno.EACCES, errno.EPERM, errno.EROFS)
_NO_SUCH_PLACE = (
    errno.ENOENT,
    errno.ENOTDIR,
    errno.ENAMETOOLONG,
    errno.ELOOP,
    errno.EISDIR,
    errno.EEXIST,
    errno.ENOTEMPTY,
    errno.EXDEV,
    errno.EINVAL,
    errno.ENXIO,
    errno.ECONNREFUSED,
)
_BINARY = getattr(os, "O_BINARY", 0)  # Windows


def write_new(path: Path, data: bytes) -> None:
    """Create `path` with `data` and sync it; the name must be free."""
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | _BINARY, 0o666)
    try:
        left = memoryview(data)
        while left:
            left = left[os.write(handle, left) :]
        os.fsync(handle)
    finally:
        os.close(handle)


def is_stream(path: Path) -> bool:
    """Whether writing to a path means sending bytes somewhere: a character device, pipe or socket,
    or an open descriptor such as `/dev/stdout`, whatever is behind it."""
    try:
        mode = path.stat().st_mode
    except (OSError, ValueError):
        return False
    if stat.S_ISCHR(mode) or stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode):
        return True
    return path.is_symlink() and _names_descriptor(path)


def _names_descriptor(path: Path) -> bool:
    """Whether a link leads to one of this process's open files (`/dev/stdout`,
    `/proc/self/fd/1`): renaming over that file would cut the descriptor off from its name."""
    links = [str(path.absolute()), str(path.readlink())]
    return any(
        re.fullmatch(r"(/dev/fd|/proc/(self|\d+)/fd)/\d+|/dev/std(in|out|err)", link)
        for link in links
    )


def write_stream(path: Path, data: bytes) -> None:
    """Send `data` to a device, pipe or socket. Nothing is created, renamed or truncated."""
    if stat.S_ISSOCK(path.stat().st_mode):
        with socket.socket(socket.AF_UNIX) as connection:
            connection.connect(str(path))
            connection.sendall(data)
        return
    handle = os.open(path, os.O_WRONLY | _BINARY | getattr(os, "O_NOCTTY", 0))
    try:
        left = memoryview(data)
        while left:
            left = left[os.write(handle, left) :]
    finally:
        os.close(handle)


def regular_or_missing(path: Path) -> Path:
    """The path that may be renamed over: the regular file that a path is or links to, or the path
    of a file that does not exist yet.

    Raises:
        OSError: EISDIR for a folder, EINVAL for a device, pipe or socket, ELOOP for a loop of
            links, ENOENT for a link to nowhere.
    """
    if not os.path.lexists(path):
        return path
    real = path.resolve(strict=True) if path.is_symlink() else path
    mode = real.stat().st_mode
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, "it is a folder, not a file")
    if not stat.S_ISREG(mode):
        raise OSError(errno.EINVAL, "it is a device, pipe or socket, not a file")
    return real


def make_folder(folder: Path) -> None:
    """Create a folder and its parents, each entry synced."""
    missing: list[Path] = []
    while not folder.is_dir():
        missing.append(folder)
        if folder.parent == folder:
            break
        folder = folder.parent
    for new in reversed(missing):
        new.mkdir(exist_ok=True)
        sync_folder(new.parent)


def sync_folder(folder: Path) -> None:
    """Make the names in a folder survive a power cut."""
    if os.name == "nt":  # a folder cannot be opened there
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):  # file systems without such a thing
            raise
    finally:
        os.close(handle)


def remove(path: Path) -> None:
    """Remove a file, link or folder as far as the disk lets us; what stays is for a sweep."""
    with suppress(OSError):
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink()


def read_regular(path: Path, size: int | None = None) -> bytes:
    """The bytes of a regular file, not through a link, never blocking on a fifo.

    Raises:
        BundleError: not a regular file, or not of `size` bytes.
    """
    flags = os.O_RDONLY | _BINARY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
    with os.fdopen(os.open(path, flags), "rb") as file:
        status = os.fstat(file.fileno())
        if not stat.S_ISREG(status.st_mode):
            raise damaged(path, "is not a regular file")
        if size is not None and status.st_size != size:
            raise damaged(path, f"is damaged: {status.st_size} bytes instead of {size}")
        return file.read()


def damaged(path: Path, what: str) -> BundleError:
    return BundleError(
        f"{path.name} {what}",
        code="model.damaged",
        where=str(path),
        hint="use another copy, or make it again",
    )


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """Errors of the system as errors about `path` that a user can act on."""
    try:
        yield
    except OSError as error:
        if error.errno in _FORBIDDEN:
            raise _no_permission(path, error, "read") from None
        if error.errno == errno.ELOOP:  # O_NOFOLLOW met a link
            raise damaged(path, "is not a regular file") from None
        raise damaged(path, f"cannot be read: {error.strerror}") from None


@contextmanager
def writing(path: Path, need: int) -> Iterator[None]:
    """The same for writing `need` bytes."""
    try:
        yield
    except OSError as error:
        raise _write_error(path, need, error) from None


def _write_error(path: Path, need: int, error: OSError) -> MetacliError:
    if error.errno in _FULL:
        return RunFailed(
            f"no space left writing {path}: need {_megabytes(need)}, {_free(path)} free",
            code="run.disk_full",
            where=str(path),
            hint="free some space; a training run continues with --resume",
        )
    if error.errno in _FORBIDDEN:
        return _no_permission(path, error, "write")
    if error.errno in _NO_SUCH_PLACE:
        return EnvironmentProblem(
            f"cannot write {path}: {error.strerror}", code="environment.path", where=str(path)
        )
    return RunFailed(
        f"cannot write {path}: {error.strerror}",
        code="run.write_failed",
        where=str(path),
        hint="check the disk; what was there before is untouched",
    )


def _no_permission(path: Path, error: OSError, verb: str) -> EnvironmentProblem:
    return EnvironmentProblem(
        f"no permission to {verb} {path}: {error.strerror}",
        code="environment.permission",
        where=str(path),
        hint="name another path with -o" if verb == "write" else None,
    )


def _megabytes(count: int) -> str:
    return f"{math.ceil(count / 1e5) / 10:.1f} MB"


def _free(path: Path) -> str:
    for folder in path.absolute().parents:
        with suppress(OSError):
            return f"{shutil.disk_usage(folder).free / 1e6:.1f} MB"
    return "unknown"
