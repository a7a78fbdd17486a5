"""What `-o` names: files are replaced whole, streams are written to, nothing else is touched."""

from __future__ import annotations

import os
import socket
import threading
from pathlib import Path

import pytest

from metacli.engine.storage.paths import require_output_file
from metacli.engine.storage.writer import write_file, write_output
from metacli.errors import DataError, EnvironmentProblem

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
