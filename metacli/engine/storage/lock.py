"""One run in one directory: a lock of the kernel, so that a dead process never blocks."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

from filelock import FileLock, Timeout

from metacli.engine.storage.disk import make_folder, writing
from metacli.engine.storage.writer import TEMPORARY, write_json
from metacli.errors import EnvironmentProblem

LOCK = ".lock"
OWNER = ".lock.json"  # who holds it; only for the message, the kernel decides
WAIT_S = 2.0  # a run that is just ending may still hold it


@contextmanager
def hold(folder: Path, wait_s: float = WAIT_S) -> Iterator[None]:
    """Keep other runs out of `folder` while the block runs.

    Args:
        folder: the run directory; made if it is missing.
        wait_s: seconds to wait for another holder to finish.

    Raises:
        EnvironmentProblem: another run holds it (host, pid and start are named), no permission,
            or a file system without locks.
    """
    with writing(folder, 0):
        make_folder(folder)
        # No soft fallback: a lock that is only a file would outlive a killed run.
        lock = FileLock(folder / LOCK, timeout=wait_s, fallback_to_soft=False)
        _acquire(lock, folder)
    try:
        write_json(folder / OWNER, _myself())
        yield
    finally:
        with suppress(OSError):
            (folder / OWNER).unlink()
        lock.release()


def is_held(folder: Path) -> bool:
    """Whether a process is at work in `folder`. Nothing is made or changed."""
    if not (folder / LOCK).is_file():
        return False
    try:
        with FileLock(folder / LOCK, timeout=0, fallback_to_soft=False):
            return False
    except Timeout:
        return True
    except (OSError, NotImplementedError):  # not ours to lock, so not ours to judge
        return False


def is_stillborn(folder: Path) -> bool:
    """Whether a process was killed here in its very first writes: nothing is there but its lock,
    what it is called, and perhaps a temporary file."""
    if not (folder / LOCK).is_file():
        return False
    first = (LOCK, TEMPORARY, "run.json")
    return all(one.name.startswith(first) for one in folder.iterdir())


def _acquire(lock: FileLock, folder: Path) -> None:
    try:
        lock.acquire()
    except Timeout:
        raise EnvironmentProblem(
            f"this run directory is in use by {_owner(folder)}",
            code="environment.locked",
            where=str(folder),
            hint="wait for that run to end, or give another directory with -o",
        ) from None
    except NotImplementedError:
        raise EnvironmentProblem(
            "this file system has no locks",
            code="environment.no_locks",
            where=str(folder),
            hint="give a directory on a local disk with -o",
        ) from None


def _myself() -> dict[str, str | int]:
    return {
        "host": socket.gethostname(),
        "pid": os.getpid(),
        "start": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
    }


def _owner(folder: Path) -> str:
    try:
        who = json.loads((folder / OWNER).read_bytes())
        return f"process {who['pid']} on {who['host']}, started {who['start']}"
    except (OSError, ValueError, KeyError, TypeError):
        return "another process"  # it has not yet written who it is
