"""A temporary folder is removed, also where its process could not do that itself."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from metacli.engine.storage.temporary import temporary_folder

PREFIX = "metacli-test-"
HOLDER = f"""
import time
from metacli.engine.storage.temporary import temporary_folder
with temporary_folder({PREFIX!r}) as folder:
    (folder / "run").mkdir()
    print(folder, flush=True)
    time.sleep(60)
"""


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    return tmp_path


@pytest.fixture
def holder(place: Path) -> Iterator[tuple[subprocess.Popen, Path]]:
    """A process that is in its folder, and the folder."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "TMPDIR": str(place)},
    )
    folder = Path(process.stdout.readline().strip())
    assert folder.parent == place
    yield process, folder
    process.kill()
    process.communicate()


def test_nothing_is_left_afterwards_also_where_the_block_fails(place: Path) -> None:
    with pytest.raises(FileNotFoundError), temporary_folder(PREFIX) as folder:
        (folder / "run" / "file").write_text("one")
    assert list(place.iterdir()) == []


def test_what_a_killed_process_left_is_removed_by_the_next_one(
    place: Path, holder: tuple[subprocess.Popen, Path]
) -> None:
    process, left = holder
    process.kill()
    process.wait()
    assert (left / "run").is_dir()
    with temporary_folder(PREFIX) as folder:
        assert sorted(place.glob(f"{PREFIX}*")) == [folder, Path(f"{folder}.lock")]
    assert list(place.iterdir()) == []


def test_folders_of_the_living_and_of_others_stay(
    place: Path, holder: tuple[subprocess.Popen, Path]
) -> None:
    _, living = holder
    others = [place / "metacli-rank-1", place / f"{PREFIX}1"]
    for folder in others:  # of another prefix, and without a lock
        folder.mkdir()
    with temporary_folder(PREFIX), temporary_folder(PREFIX):
        pass
    assert (living / "run").is_dir()
    assert all(folder.is_dir() for folder in others)


@pytest.mark.skipif(os.name == "nt" or os.getuid() != 0, reason="needs another user's folder")
def test_what_another_user_left_stays(place: Path, holder: tuple[subprocess.Popen, Path]) -> None:
    process, left = holder
    process.kill()
    process.wait()
    os.chown(left, 1, 1)
    with temporary_folder(PREFIX):
        pass
    assert left.is_dir()


def test_a_link_is_not_followed(place: Path, holder: tuple[subprocess.Popen, Path]) -> None:
    process, left = holder
    process.kill()
    process.wait()
    kept = place / "kept"
    left.rename(kept)
    left.symlink_to(kept)
    with temporary_folder(PREFIX):
        pass
    assert (kept / "run").is_dir()
    assert not left.is_symlink()
