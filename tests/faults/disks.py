"""A save that is cut off, or meets an error of the disk, at each of its operations; and checkpoints
that were damaged afterwards."""

from __future__ import annotations

import errno
import os
import random
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from metacli.engine.storage.writer import sweep
from metacli.engine.training import checkpoint
from metacli.engine.training.loop import Snapshot
from metacli.errors import BundleError, MetacliError

OPERATIONS = ("open", "write", "fsync", "mkdir", "rename", "replace", "unlink", "rmdir")
ERRORS = (errno.ENOSPC, errno.EIO, errno.EACCES, errno.EDQUOT)


class Crash(BaseException):
    """The process ends here, as in a power cut: nothing cleans up."""


@contextmanager
def failing(at: int, error: BaseException | int, lasting: bool) -> Iterator[list[int]]:
    """From the `at`-th operation on (or at it alone) the operations of `os` raise; gives a list
    with the number of those that were tried."""
    count = [0]
    real = {name: getattr(os, name) for name in OPERATIONS}

    def wrapped(name: str) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            count[0] += 1
            if count[0] == at or (lasting and count[0] > at):
                if isinstance(error, int):
                    raise OSError(error, os.strerror(error))
                raise error
            return real[name](*args, **kwargs)

        return call

    for name in OPERATIONS:
        setattr(os, name, wrapped(name))
    try:
        yield count
    finally:
        for name in OPERATIONS:
            setattr(os, name, real[name])


def snapshot(step: int) -> Snapshot:
    rng = torch.Generator().manual_seed(step)
    params = {
        "head.weight": torch.randn(2, 3, generator=rng),
        "wide": torch.randn(4, generator=rng),
    }
    optimizer = {"head.weight/exp_avg": torch.randn(2, 3, generator=rng)}
    return Snapshot(step, params, {"losses": [0.5, 0.25]}, optimizer)


def same(found: Snapshot, wanted: Snapshot) -> bool:
    pairs = ((found.params, wanted.params), (found.optimizer, wanted.optimizer))
    return (found.step, found.state) == (wanted.step, wanted.state) and all(
        set(a) == set(b) and all(torch.equal(a[name], b[name]) for name in a) for a, b in pairs
    )


@dataclass
class Faults:
    """How saves or checkpoints ended.

    Args:
        silent: read back as something that was never written. uncaught: not a MetacliError.
        lost: an older checkpoint that is not whole any more.
    """

    trials: int = 0
    survived: int = 0
    lost: int = 0
    silent: int = 0
    uncaught: int = 0
    notes: list[str] = field(default_factory=list)

    def as_dict(self) -> dict[str, int]:
        names = ("trials", "survived", "lost", "silent", "uncaught")
        return {name: getattr(self, name) for name in names}


Kind = tuple[bool, BaseException | int, bool]
EVERY: tuple[Kind, ...] = tuple(
    (fresh, error, lasting)
    for fresh in (True, False)
    for error in (Crash(), *ERRORS)
    for lasting in (False, True)
)
FEW: tuple[Kind, ...] = ((True, Crash(), False), (False, errno.ENOSPC, True))


def saves(folder: Path, kinds: tuple[Kind, ...] = EVERY) -> Faults:
    """A checkpoint followed by a new one (`fresh`), or replaced by one of the same step, with a
    crash or an error at each operation in turn."""
    found = Faults()
    for fresh, error, lasting in kinds:
        at = 1
        while one_save(folder / "state", at, error, lasting, fresh, found):
            at += 1
    return found


def one_save(
    state: Path, at: int, error: BaseException | int, lasting: bool, fresh: bool, found: Faults
) -> bool:
    """Whether the save had so many operations."""
    shutil.rmtree(state, ignore_errors=True)
    for step in (1, 2):
        checkpoint.save(state, "step", snapshot(step), {})
    step = 3 if fresh else 2
    new = Snapshot(step, snapshot(9).params, {"losses": [0.5, 0.25]}, {})
    with failing(at, error, lasting) as count:
        try:
            checkpoint.save(state, "step", new, {})
        except (Crash, MetacliError):
            pass
        except Exception as other:  # noqa: BLE001  # to be counted
            found.uncaught += 1
            found.notes.append(f"{error} at {at}: {other!r}")
    if count[0] < at:
        return False
    found.trials += 1
    sweep(state)  # as whoever resumes the run does first
    try:
        saved, _ = checkpoint.newest(state, "step")
    except BundleError:
        saved = None
    known = [snapshot(1), snapshot(2), new]
    if saved is None or saved.snapshot.step < 2:
        found.lost += 1
        found.notes.append(f"{error} at {at}: nothing newer than step 1 can be read")
    elif not any(same(saved.snapshot, one) for one in known):
        found.silent += 1
    else:
        found.survived += 1
    return True


def damages(folder: Path, count: int, seed: int = 0) -> Faults:
    """Checkpoints with bits flipped, bytes cut, files swapped, emptied or removed."""
    state, found = folder / "state", Faults()
    wanted = snapshot(5)
    shutil.rmtree(state, ignore_errors=True)
    path = checkpoint.save(state, "step", wanted, {"step": 5})
    files = {one.name: one.read_bytes() for one in path.iterdir()}
    for number in range(count):
        draw = random.Random(f"{seed}/{number}")
        for name, content in files.items():
            (path / name).write_bytes(content)
        damage(path, files, draw)
        found.trials += 1
        changed = {one.name: one.read_bytes() for one in path.iterdir()} != files
        try:
            saved = checkpoint.read(path)
        except MetacliError:
            found.survived += 1
            continue
        except Exception as error:  # noqa: BLE001  # to be counted
            found.uncaught += 1
            found.notes.append(f"{number}: {error!r}")
            continue
        if changed or not same(saved.snapshot, wanted):
            found.silent += 1
            found.notes.append(f"{number}: read as if nothing had happened")
        else:
            found.survived += 1
    return found


def damage(path: Path, files: dict[str, bytes], draw: random.Random) -> None:
    names = sorted(files)
    name = names[draw.randrange(len(names))]
    data, edit = bytearray(files[name]), draw.randrange(6)
    at = draw.randrange(max(1, len(data)))
    if edit < 2:
        data[at] ^= 1 << draw.randrange(8)
    elif edit == 2:
        del data[at:]
    elif edit == 3:
        data[at:at] = bytes(draw.randrange(256) for _ in range(draw.randint(1, 9)))
    elif edit == 4:
        data = bytearray(files[names[draw.randrange(len(names))]])
    else:
        (path / name).unlink()
        return
    (path / name).write_bytes(bytes(data))
