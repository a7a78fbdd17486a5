"""A folder in the system's temporary one that does not outlive its process for long."""

from __future__ import annotations

import secrets
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from metacli.engine.storage.disk import remove, writing
from metacli.errors import EnvironmentProblem

LOCK_SUFFIX = ".lock"


@contextmanager
def temporary_folder(prefix: str) -> Iterator[Path]:
    """An empty folder that is removed afterwards. A process that is killed cannot do that: the next
    one that asks for a folder of the same prefix does.

    Raises:
        EnvironmentProblem: no permission, or a file system without locks.
    """
    place = Path(tempfile.gettempdir())
    folder = place / f"{prefix}{secrets.token_hex(8)}"
    lock = _lock_of(folder)
    with writing(folder, 0):
        # Held before the folder is there, so that nobody takes it for an abandoned one.
        _acquire(lock, place)
        folder.mkdir(mode=0o700)
    try:
        _remove_abandoned(place, prefix, owner=folder.stat().st_uid)
        yield folder
    finally:
        remove(folder)
        lock.release()
        remove(Path(lock.lock_file))


def _lock_of(folder: Path) -> FileLock:
    """One of the kernel, beside the folder: it ends with its process."""
    return FileLock(f"{folder}{LOCK_SUFFIX}", timeout=0, fallback_to_soft=False)


def _acquire(lock: FileLock, place: Path) -> None:
    try:
        lock.acquire()
    except NotImplementedError:
        raise EnvironmentProblem(
            "this file system has no locks",
            code="environment.no_locks",
            where=str(place),
            hint="set TMPDIR to a folder on a local disk",
        ) from None


def _remove_abandoned(place: Path, prefix: str, owner: int) -> None:
    """Remove the folders whose lock nobody holds, of this user alone: anybody may write there."""
    for folder in place.glob(f"{prefix}*"):
        lock = _lock_of(folder)
        # Without a lock file it is none of ours; it may also be gone by now.
        with suppress(OSError, Timeout):
            made = folder.lstat(), Path(lock.lock_file).lstat()
            if any(one.st_uid != owner for one in made):
                continue
            with lock:
                remove(folder)
            remove(Path(lock.lock_file))
