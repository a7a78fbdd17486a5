"""The cache of a data set: one folder with `images.npy` and `index.json`, whole or not there."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from filelock import FileLock, Timeout

from metacli.errors import DataError, EnvironmentProblem, RunFailed

FORMAT = 1
LONG = 300  # letters of a path that are shown
UNUSABLE = (
    *(errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EEXIST, errno.ENAMETOOLONG),
    *(errno.ELOOP, errno.EINVAL, errno.EISDIR),
)
Report = Callable[[str, int, int | None], None]


def silent(what: str, done: int, total: int | None) -> None:
    """A report that says nothing."""


@dataclass(frozen=True)
class Group:
    """Images of one class: `count` rows from `first` on."""

    name: str
    first: int
    count: int

    @property
    def rows(self) -> np.ndarray:
        return np.arange(self.first, self.first + self.count, dtype=np.int64)


@dataclass(frozen=True)
class Stored:
    """A data set in the cache.

    Args:
        images: [M, C, H, W] uint8, memory-mapped.
        groups: the classes, in the order of their rows.
        contents: SHA-256 hex of what the images were made from, the same whatever decoded them.
    """

    path: Path
    images: np.ndarray
    groups: tuple[Group, ...]
    contents: str


def read_stored(folder: Path, name: str) -> Stored | None:
    """What `write_stored` wrote, or None when there is nothing.

    Raises:
        DataError: the folder is damaged, or of another format.
    """
    if not (folder / "index.json").is_file():
        return None
    try:
        index = json.loads((folder / "index.json").read_bytes())
        if index["format"] != FORMAT:
            raise _damaged(folder, name, f"format {index['format']}, this version reads {FORMAT}")
        if _file_digest(folder / "images.npy") != index["images"]:
            raise _damaged(folder, name, "images.npy is not what was written")
        images = np.load(folder / "images.npy", mmap_mode="r", allow_pickle=False)
        groups = _groups(index["classes"], len(images))
        contents = str(index["contents"])
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise _damaged(folder, name, str(error)) from error
    return Stored(folder, images, groups, contents)


def fetched(folder: Path, name: str) -> Stored:
    """What `metacli fetch NAME` wrote.

    Raises:
        DataError: nothing yet, or it is damaged.
    """
    stored = read_stored(folder, name)
    if stored is None:
        raise DataError(
            f"{name} has not been fetched yet",
            code="data.not_fetched",
            where=str(folder),
            hint=f"metacli fetch {name}",
        )
    return stored


def write_stored(
    folder: Path, images: np.ndarray, classes: Sequence[tuple[str, int]], contents: str
) -> None:
    """Writes into an existing empty folder.

    Args:
        images: [M, C, H, W] uint8, class by class.
        classes: name and number of images, in the order of the rows.
        contents: SHA-256 hex of what the images were made from.
    """
    np.save(folder / "images.npy", images)
    write_index(folder, classes, contents)


def write_index(folder: Path, classes: Sequence[tuple[str, int]], contents: str) -> None:
    """Describes an `images.npy` that is in the folder already."""
    index = {
        "format": FORMAT,
        "contents": contents,
        "images": _file_digest(folder / "images.npy"),
        "classes": [list(one) for one in classes],
    }
    (folder / "index.json").write_text(json.dumps(index), encoding="utf-8")


@contextlib.contextmanager
def locked(cache: Path, name: str, *, wait: float = 600.0) -> Iterator[None]:
    """One process at a time builds a data set; a dead one does not block.

    Raises:
        EnvironmentProblem: the cache cannot be written, or the lock was not free within `wait`
        seconds.
    """
    with explained(cache, 0):
        cache.mkdir(parents=True, exist_ok=True)
    lock = FileLock(cache / f"{name}.lock")
    try:
        with explained(cache, 0):
            lock.acquire(timeout=wait)
    except Timeout:
        raise EnvironmentProblem(
            f"another metacli has been writing {name} for {wait:.0f} s",
            code="cache.busy",
            where=str(cache),
            hint="wait for it, or set METACLI_CACHE to another folder",
        ) from None
    try:
        yield
    finally:
        lock.release()


@contextlib.contextmanager
def replacing(folder: Path, need: int) -> Iterator[Path]:
    """An empty folder that takes the place of `folder` when the block ends well, and vanishes
    otherwise.

    Call it inside `locked`: leftovers of killed processes are removed.

    Args:
        need: bytes that will be written, for the message when the disk is full.
    """
    stem = f".{folder.name}.new-"
    with explained(folder, need):
        for left in folder.parent.glob(f"{stem}*"):
            shutil.rmtree(left, ignore_errors=True)
        made = Path(tempfile.mkdtemp(prefix=stem, dir=folder.parent))
        try:
            (made / "new").mkdir()
            yield made / "new"
            _sync(made / "new")
            if folder.exists():
                folder.rename(made / "old")
            (made / "new").rename(folder)
        finally:
            shutil.rmtree(made, ignore_errors=True)


@contextlib.contextmanager
def explained(path: Path, need: int) -> Iterator[None]:
    """Turns what a file system refuses into an error that says what to do.

    Raises:
        EnvironmentProblem: no permission, or a read-only file system.
        RunFailed: the disk is full.
    """
    try:
        yield
    except OSError as error:
        if error.errno in UNUSABLE or _cannot_be_made(error, path):
            raise EnvironmentProblem(
                f"cannot write the cache folder: {error.strerror}",
                code="cache.not_writable",
                where=_short(path),
                hint="set METACLI_CACHE to a folder that can be written",
            ) from error
        if _is_full(error):
            free = shutil.disk_usage(path if path.exists() else path.parent).free
            raise RunFailed(
                f"no space left writing {path}: need {need / 1e6:.0f} MB, {free / 1e6:.0f} MB free",
                code="cache.disk_full",
                where=str(path),
                hint="free some space, or set METACLI_CACHE to another disk",
            ) from error
        raise


def _is_full(error: OSError) -> bool:
    """Also as numpy says it, which loses the number of the error: "N requested and M written"."""
    if error.errno is None:
        return "requested and" in str(error) and "written" in str(error)
    return error.errno in (errno.ENOSPC, errno.EDQUOT)


def _cannot_be_made(error: OSError, path: Path) -> bool:
    """Whether a folder above is missing where none can be made, as below /proc."""
    above = error.filename is not None and Path(os.fsdecode(error.filename)) in (
        path,
        *path.parents,
    )
    return error.errno == errno.ENOENT and above


def _short(path: Path) -> str:
    """A path that may be of thousands of letters."""
    text = str(path)
    return text if len(text) <= LONG else f"{text[:LONG]}..."


def _groups(classes: Sequence[tuple[str, int]], images: int) -> tuple[Group, ...]:
    """The classes in their order. Raises ValueError where they are not all of the images."""
    groups, first = [], 0
    for name, count in classes:
        if not isinstance(name, str) or type(count) is not int or count < 1:
            raise ValueError(f"a class {name!r} of {count!r} images")
        groups.append(Group(name, first, count))
        first += count
    if first != images:
        raise ValueError(f"classes of {first} images, of which there are {images}")
    return tuple(groups)


def _damaged(folder: Path, name: str, why: str) -> DataError:
    return DataError(
        f"the cached copy of {name} is damaged: {why}",
        code="data.damaged_cache",
        where=str(folder),
        hint=f"metacli fetch {name} --force",
    )


def _file_digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _sync(folder: Path) -> None:
    for path in [*folder.iterdir(), folder]:
        number = os.open(path, os.O_RDONLY)
        try:
            os.fsync(number)
        finally:
            os.close(number)
