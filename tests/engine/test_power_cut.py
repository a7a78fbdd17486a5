"""What a power cut takes: contents that were not synced, and names whose folder was not.

A disk may keep a rename and lose the bytes of the renamed file, or keep a file and lose the entry
of its folder. So the order of system calls is written down, and two things are asked of it: before
a name is put in place, all that is behind it is synced; and in the end every folder is synced after
its last change.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from metacli.engine.storage.writer import sweep, write_file, write_folder

FILES = {"model.json": b"{}", "weights.safetensors": b"new!" * 60}


class Disk:
    """Writes down what is done to it."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.events: list[tuple[str, Path]] = []
        self.paths: dict[int, Path] = {}
        for name in ("open", "write", "fsync", "mkdir", "rename", "replace"):
            patch.setattr(os, name, self.wrapped(name, getattr(os, name)))

    def wrapped(self, name: str, real: Callable) -> Callable:
        def call(*args, **options):
            done = real(*args, **options)
            if name == "open":
                self.paths[done] = Path(args[0])
                if args[1] & os.O_CREAT:
                    self.events.append(("made", Path(args[0])))
            elif name in ("write", "fsync"):
                self.events.append((name, self.paths[args[0]]))
            elif name == "mkdir":
                self.events.append(("made", Path(args[0])))
            else:
                self.events.append(("gone", Path(args[0])))
                self.events.append(("placed", Path(args[1])))
            return done

        return call

    def unsynced(self, until: int) -> set[Path]:
        """Files whose bytes, and folders whose names, a power cut before an event may take."""
        waiting: set[Path] = set()
        for what, path in self.events[:until]:
            if what == "fsync":
                waiting.discard(path)
            elif what == "write":
                waiting.add(path)
            else:
                waiting.add(path.parent)
        return waiting


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Disk:
    return Disk(monkeypatch)


def saves(disk: Disk, save: Callable[[], object]) -> None:
    """Saves, and asks what a power cut would leave."""
    disk.events.clear()
    save()
    assert any(what == "placed" for what, _ in disk.events)
    for at, (what, source) in enumerate(disk.events):
        if what == "gone":  # its other name comes next
            behind = {one for one in disk.unsynced(at) if one == source or source in one.parents}
            assert behind == set(), "renamed before it was on the disk"
    assert disk.unsynced(len(disk.events)) == set()


def test_a_file_and_every_new_folder_above_it_are_on_the_disk(disk: Disk, tmp_path: Path) -> None:
    target = tmp_path / "new" / "deeper" / "m"
    saves(disk, lambda: write_file(target, b"content"))
    made = [path for what, path in disk.events if what == "made"]
    assert made[:2] == [tmp_path / "new", tmp_path / "new" / "deeper"]
    synced = [path for what, path in disk.events if what == "fsync"]
    assert synced.count(tmp_path) == 1
    assert synced[-1] == target.parent
    saves(disk, lambda: write_file(target, b"other"))
    assert target.read_bytes() == b"other"


def test_a_folder_and_its_files_are_on_the_disk(disk: Disk, tmp_path: Path) -> None:
    target = tmp_path / "runs" / "m"
    saves(disk, lambda: write_folder(target, FILES))
    saves(disk, lambda: write_folder(target, FILES, replace=True))


def test_what_a_sweep_puts_back_is_on_the_disk(disk: Disk, tmp_path: Path) -> None:
    write_folder(tmp_path / "m", FILES)
    (tmp_path / "m").rename(tmp_path / ".metacli-old-m")
    saves(disk, lambda: sweep(tmp_path))
    assert (tmp_path / "m" / "model.json").is_file()
