"""What `-o` names: files are replaced whole, streams are written to, nothing else is touched."""

from __future__ import annotations

import json
import os
import socket
import threading
from pathlib import Path

import numpy as np
import pytest

from metacli.engine.scoring import score_file
from metacli.engine.storage.paths import require_output_file, target
from metacli.engine.storage.writer import write_file, write_output
from metacli.errors import BundleError, DataError, EnvironmentProblem

pytestmark = pytest.mark.usefixtures("workplace")


def test_a_fifo_gets_the_bytes_and_stays_a_fifo() -> None:
    os.mkfifo("pipe")
    got: list[bytes] = []
    reader = threading.Thread(target=lambda: got.append(Path("pipe").read_bytes()))
    reader.start()
    require_output_file(Path("pipe"), force=False)
    write_output(Path("pipe"), b"rows\n")
    reader.join(10)
    assert got == [b"rows\n"]
    assert Path("pipe").is_fifo()


def test_a_device_of_our_own_gets_the_bytes_and_stays_a_device() -> None:
    try:
        os.mknod("null", 0o666 | 0o020000, os.makedev(1, 3))
        Path("null").write_bytes(b"")
    except OSError:
        pytest.skip("device nodes cannot be made here: run as root, on a file system with devices")
    before = Path("null").lstat()
    write_output(Path("null"), b"rows\n")
    assert Path("null").is_char_device()
    assert Path("null").lstat().st_ino == before.st_ino


def test_a_socket_gets_the_bytes() -> None:
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("socket")
        server.listen()
        write_output(Path("socket"), b"rows\n")
        with server.accept()[0] as connection:
            assert connection.recv(100) == b"rows\n"
    assert Path("socket").is_socket()


def test_an_open_descriptor_is_written_to_and_not_renamed_over() -> None:
    with Path("rows.csv").open("wb") as file:
        Path("out").symlink_to(f"/proc/self/fd/{file.fileno()}")
        if not Path("out").exists():
            pytest.skip("no /proc on this system")
        inode = Path("rows.csv").stat().st_ino
        write_output(Path("out"), b"rows\n")
        write_output(Path(f"/proc/self/fd/{file.fileno()}"), b"")
    assert Path("out").is_symlink()
    assert Path("rows.csv").read_bytes() == b"rows\n"
    assert Path("rows.csv").stat().st_ino == inode


def test_a_link_is_followed_to_its_file() -> None:
    Path("real").write_bytes(b"old")
    Path("link").symlink_to("real")
    write_output(Path("link"), b"new")
    assert Path("link").is_symlink()
    assert Path("real").read_bytes() == b"new"


@pytest.mark.parametrize("kind", ["folder", "fifo", "link to a folder", "link to nowhere"])
def test_only_a_regular_file_is_ever_renamed_over(kind: str) -> None:
    path = Path("target")
    match kind:
        case "folder":
            path.mkdir()
        case "fifo":
            os.mkfifo(path)
        case "link to a folder":
            Path("real").mkdir()
            path.symlink_to("real")
        case _:
            path.symlink_to("nowhere")
    before = path.lstat().st_ino
    with pytest.raises(EnvironmentProblem, match="cannot write"):
        write_file(path, b"new")
    assert path.lstat().st_ino == before


def test_a_file_with_content_needs_force() -> None:
    Path("old").write_bytes(b"old")
    with pytest.raises(DataError, match="the file exists"):
        require_output_file(Path("old"), force=False)
    require_output_file(Path("old"), force=True)
    require_output_file(Path("new"), force=False)
    require_output_file(Path("/dev/null"), force=False)
    Path("folder").mkdir()
    with pytest.raises(DataError, match="is a folder"):
        require_output_file(Path("folder"), force=True)


def test_a_folder_to_write_is_new_or_empty_and_never_a_file() -> None:
    assert target("new", Path("usual"), force=False) == Path("new").absolute()
    Path("empty").mkdir()
    assert target("empty", Path("usual"), force=False) == Path("empty").absolute()
    Path("file").write_bytes(b"old")
    with pytest.raises(BundleError, match="a file is in the way"):
        target("file", Path("usual"), force=True)
    Path("empty/mine.txt").write_text("mine")
    with pytest.raises(BundleError, match="the output folder is not empty"):
        target("empty", Path("usual"), force=False)
    assert target("empty", Path("usual"), force=True) == Path("empty").absolute()


def scores(path: Path) -> None:
    """An evaluation of two units."""
    line = {"model": "m", "units": "u", "metric": "accuracy", "mode": "inductive"}
    score_file.record(path, line, np.array([0.5, 1.0]))


def test_evaluate_replaces_a_score_file_by_force_and_never_a_pipe_or_device() -> None:
    os.mkfifo("pipe")
    before = Path("pipe").lstat().st_ino
    for force in (False, True):
        score_file.require_place(Path("pipe"), force=force, dry_run=False)
    assert Path("pipe").is_fifo()
    assert Path("pipe").lstat().st_ino == before
    got: list[bytes] = []
    reader = threading.Thread(target=lambda: got.append(Path("pipe").read_bytes()))
    reader.start()
    scores(Path("pipe"))
    reader.join(10)
    assert json.loads(got[0])["values"] == [0.5, 1.0]
    assert Path("pipe").is_fifo()


def test_a_link_to_a_score_file_is_followed_when_it_is_replaced() -> None:
    scores(Path("real.jsonl"))
    Path("link.jsonl").symlink_to("real.jsonl")
    with pytest.raises(BundleError, match="the file has content"):
        score_file.require_place(Path("link.jsonl"), force=False, dry_run=False)
    score_file.require_place(Path("link.jsonl"), force=True, dry_run=False)
    assert Path("link.jsonl").is_symlink()
    assert Path("real.jsonl").read_bytes() == b""
    Path("mine.txt").write_text("mine")
    with pytest.raises(BundleError, match="not a score file"):
        score_file.require_place(Path("mine.txt"), force=True, dry_run=False)
    assert Path("mine.txt").read_text() == "mine"
