"""Fetching: whole, unaltered and from where it was asked for, or an error and nothing on disk."""

from __future__ import annotations

import contextlib
import errno
import functools
import http.server
import io
import threading
import warnings
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from metacli.data.cache import archives, download
from metacli.data.cache.archives import contents_digest
from metacli.data.cache.download import FetchResult, fetch_dataset
from metacli.data.catalogue import registry
from metacli.data.catalogue.registry import Archive
from metacli.errors import DataError, DownloadError, EnvironmentProblem, ExitCode, RunFailed

SETS = {"small_a.zip": ("Alpha", "Beta"), "small_b.zip": ("Gamma",)}


def png(*key: int) -> bytes:
    pixels = np.random.Generator(np.random.PCG64(key)).random((105, 105)) < 0.5
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "PNG")
    return stream.getvalue()


def drawings(alphabets: tuple[str, ...]) -> dict[str, bytes]:
    return {
        f"{alphabet}/character{c:02d}/{d:02d}.png": png(len(alphabet), c, d)
        for alphabet in alphabets
        for c in (1, 2)
        for d in range(3)
    }


MEMBERS = {name: drawings(alphabets) for name, alphabets in SETS.items()}


def pack(path: Path, members: dict[str, bytes], prefix: str = "set/") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as packed:
        packed.writestr(prefix + "notes.txt", "not a member")
        for name, content in members.items():
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # a test writes a name twice
                packed.writestr(prefix + name, content)
    return path


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Omniglot, but two archives of 12 and 6 drawings whose official address nobody answers."""
    made = tuple(
        Archive(
            name=name,
            urls=(f"http://127.0.0.1:9/{name}",),
            bytes=20_000,
            md5="",
            contents=contents_digest(members),
            members=len(members),
            unpacked=sum(map(len, members.values())),
            suffix=".png",
            depth=3,
            groups=frozenset(SETS[name]),
        )
        for name, members in MEMBERS.items()
    )
    of = replace(registry.DATASETS["omniglot"], archives=made)
    monkeypatch.setitem(registry.DATASETS, "omniglot", of)


@pytest.fixture
def mirror(tmp_path: Path) -> Path:
    for name, members in MEMBERS.items():
        pack(tmp_path / "mirror" / "deep" / name, members)
    return tmp_path / "mirror"


@contextlib.contextmanager
def served(handler: Any) -> Iterator[str]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join()


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *arguments: Any) -> None:
        pass


class Answer(Quiet):
    """Says one thing to every question."""

    status, headers_sent, body = 200, {}, b""

    def do_GET(self) -> None:
        self.send_response(self.status)
        for name, value in self.headers_sent.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(self.body)


def answering(status: int, body: bytes = b"", **headers: str) -> type[Answer]:
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    return type("One", (Answer,), {"status": status, "body": body, "headers_sent": sent})


def refused(cache: Path, code: str, match: str, **options: Any) -> DownloadError:
    """The error of a fetch that must leave nothing behind."""
    with pytest.raises(DownloadError, match=match) as caught:
        fetch_dataset("omniglot", cache, **options)
    assert caught.value.exit_code == ExitCode.DOWNLOAD
    assert caught.value.code == code
    assert [one.name for one in cache.iterdir()] == ["omniglot.lock"]
    return caught.value


def check(result: FetchResult, cache: Path) -> None:
    assert (result.name, result.path, result.from_cache) == ("omniglot", cache / "omniglot", False)
    images = np.load(cache / "omniglot" / "images.npy")
    assert images.shape == (18, 1, 28, 28)
    assert result.bytes == sum(one.stat().st_size for one in result.path.iterdir())
    assert sorted(one.name for one in cache.iterdir()) == ["omniglot", "omniglot.lock"]


def test_a_mirror_folder_is_searched_by_archive_name(tmp_path: Path, mirror: Path) -> None:
    told: list[tuple[str, int, int | None]] = []
    result = fetch_dataset(
        "omniglot",
        tmp_path / "cache",
        mirror=str(mirror),
        offline=True,
        report=lambda *what: told.append(what),
    )
    check(result, tmp_path / "cache")
    assert ("decoding omniglot", 18, 18) in told


def test_a_second_fetch_does_nothing_unless_forced(tmp_path: Path, mirror: Path) -> None:
    def fetch(**options: Any) -> FetchResult:
        return fetch_dataset("omniglot", tmp_path / "cache", mirror=str(mirror), **options)

    first, second, third = fetch(), fetch(), fetch(force=True)
    assert [one.from_cache for one in (first, second, third)] == [False, True, False]
    assert first.digest == second.digest == third.digest


@pytest.mark.parametrize("below", ["", "omniglot/"])
def test_a_web_mirror_holds_the_archives_at_its_base_or_by_data_set(
    tmp_path: Path, below: str
) -> None:
    for name, members in MEMBERS.items():
        pack(tmp_path / "web" / below / name, members)
    handler = functools.partial(Quiet, directory=str(tmp_path / "web"))
    with served(handler) as base:
        result = fetch_dataset("omniglot", tmp_path / "cache", mirror=base + "/")
    check(result, tmp_path / "cache")


@pytest.mark.parametrize("how", ["one archive", "a folder of archives", "an unpacked folder"])
def test_from_takes_archives_and_unpacked_folders(tmp_path: Path, mirror: Path, how: str) -> None:
    path = {"a folder of archives": mirror}.get(how, tmp_path / "given")
    everything = MEMBERS["small_a.zip"] | MEMBERS["small_b.zip"]
    if how == "one archive":
        pack(path, everything)
    elif how == "an unpacked folder":
        for name, content in everything.items():
            (path / name).parent.mkdir(parents=True, exist_ok=True)
            (path / name).write_bytes(content)
    result = fetch_dataset("omniglot", tmp_path / "cache", from_=path, offline=True)
    check(result, tmp_path / "cache")


def test_how_an_archive_is_packed_does_not_matter(tmp_path: Path) -> None:
    for name, members in MEMBERS.items():
        pack(tmp_path / "m" / name, dict(reversed(members.items())), prefix="a/b/c/")
    result = fetch_dataset("omniglot", tmp_path / "cache", mirror=str(tmp_path / "m"))
    check(result, tmp_path / "cache")


def test_one_altered_pixel_is_found(tmp_path: Path, mirror: Path) -> None:
    members = dict(MEMBERS["small_b.zip"])
    name = next(iter(members))
    with Image.open(io.BytesIO(members[name])) as picture:
        picture.load()
    picture.putpixel((3, 4), 255 - picture.getpixel((3, 4)))
    stream = io.BytesIO()
    picture.save(stream, "PNG")
    pack(mirror / "deep" / "small_b.zip", members | {name: stream.getvalue()})
    error = refused(
        tmp_path / "cache", "download.checksum", "expected SHA-256 [0-9a-f]{64}, got [0-9a-f]{64}",
        mirror=str(mirror), offline=True,
    )  # fmt: skip
    assert "small_b.zip" in error.message


@pytest.mark.parametrize("change", ["missing", "additional"])
def test_a_missing_or_additional_image_is_counted(
    tmp_path: Path, mirror: Path, change: str
) -> None:
    members = dict(MEMBERS["small_a.zip"])
    if change == "missing":
        members.popitem()
    else:
        members["Alpha/character01/99.png"] = png(9)
    pack(mirror / "deep" / "small_a.zip", members)
    got = {"missing": 11, "additional": 13}[change]
    refused(
        tmp_path / "cache",
        "download.checksum",
        f"expected 12 PNG files, got {got}",
        mirror=str(mirror),
        offline=True,
    )


def test_an_archive_cut_short_is_refused(tmp_path: Path, mirror: Path) -> None:
    path = mirror / "deep" / "small_a.zip"
    path.write_bytes(path.read_bytes()[:-300])
    refused(tmp_path / "cache", "download.bad_archive", "no whole zip", from_=mirror)


def test_a_damaged_member_is_refused(tmp_path: Path, mirror: Path) -> None:
    path = mirror / "deep" / "small_a.zip"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0xFF
    path.write_bytes(content)
    refused(tmp_path / "cache", "download.bad_archive", "small_a.zip", from_=mirror)


def test_an_archive_that_inflates_beyond_the_registry_is_not_read(
    tmp_path: Path, mirror: Path
) -> None:
    bomb = MEMBERS["small_a.zip"] | {"Alpha/character01/99.png": bytes(50_000_000)}
    path = pack(mirror / "deep" / "small_a.zip", bomb)
    assert path.stat().st_size < 100_000
    refused(tmp_path / "cache", "download.bad_archive", "bytes unpacked; at most", from_=mirror)


def test_an_archive_of_very_many_entries_is_not_read(
    tmp_path: Path, mirror: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archives, "OTHER_FILES", 3)
    crowd = {f"Alpha/character01/{n}.png": b"" for n in range(100)}
    pack(mirror / "deep" / "small_a.zip", crowd)
    refused(tmp_path / "cache", "download.bad_archive", "101 entries; at most 27", from_=mirror)


def test_links_in_an_archive_are_refused(tmp_path: Path, mirror: Path) -> None:
    entry = zipfile.ZipInfo("set/Alpha/character01/99.png")
    entry.external_attr = 0o120777 << 16
    with zipfile.ZipFile(mirror / "deep" / "small_a.zip", "a") as packed:
        packed.writestr(entry, "/etc/passwd")
    refused(tmp_path / "cache", "download.bad_archive", "not a regular file", from_=mirror)


def test_a_image_that_is_there_twice_is_refused(tmp_path: Path, mirror: Path) -> None:
    name = next(iter(MEMBERS["small_a.zip"]))
    with zipfile.ZipFile(mirror / "deep" / "small_a.zip", "a") as packed:
        packed.writestr("other/" + name, b"")
    refused(tmp_path / "cache", "download.bad_archive", "is there twice", from_=mirror)


def test_names_that_climb_out_of_the_folder_write_nothing(tmp_path: Path, mirror: Path) -> None:
    outside = tmp_path / "outside.png"
    with zipfile.ZipFile(mirror / "deep" / "small_a.zip", "a") as packed:
        packed.writestr("../../../outside.png", png(1))
        packed.writestr(str(outside), png(1))
    refused(tmp_path / "cache", "download.checksum", "got 14", from_=mirror)
    assert not outside.exists()


def test_offline_opens_no_socket(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no(*arguments: Any, **options: Any) -> None:
        raise AssertionError("a socket was opened")

    monkeypatch.setattr("socket.socket", no)
    monkeypatch.setattr("socket.create_connection", no)
    error = refused(
        tmp_path / "cache", "download.offline", "offline", mirror="http://127.0.0.1:9", offline=True
    )
    assert "METACLI_OFFLINE" in str(error.hint)
    assert "--from" in str(error.hint)


def test_every_address_that_was_tried_is_named(tmp_path: Path) -> None:
    error = refused(
        tmp_path / "cache", "download.failed", "no answer", mirror="http://127.0.0.1:9/base"
    )
    assert [one.where for one in error.findings] == [
        "http://127.0.0.1:9/base/small_a.zip",
        "http://127.0.0.1:9/base/omniglot/small_a.zip",
        "http://127.0.0.1:9/small_a.zip",
    ]
    assert all(str(one.where) in error.message for one in error.findings)


def test_a_mirror_folder_without_the_archive_is_named(tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    error = refused(tmp_path / "cache", "download.failed", "No such file", mirror=str(empty))
    assert str(empty) in error.message


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (answering(302, Location="file:///etc/passwd"), "file:///etc/passwd"),
        (
            answering(302, Location="ftp://127.0.0.1/x"),
            "a redirect to ftp://127.0.0.1/x is refused",
        ),
        (answering(200, b"<html>please log in"), "a web page, not a zip archive"),
        (answering(404), "404 Not Found"),
        (answering(200, b"PK", Content_Length="1000"), "cut short: got 2 of 1000 bytes"),
        (answering(200, b"PK", Content_Length="999999"), "larger than the 40000 bytes"),
        (answering(200, bytes(100_000)), "larger than the 40000 bytes"),
    ],
)
def test_what_a_server_may_answer_instead_of_an_archive(
    tmp_path: Path, answer: type[Answer], reason: str
) -> None:
    with served(answer) as base:
        refused(tmp_path / "cache", "download.failed", reason, mirror=base)


def test_a_file_address_is_no_mirror(tmp_path: Path, mirror: Path) -> None:
    address = (mirror / "deep").as_uri()
    refused(tmp_path / "cache", "download.failed", "only http and https", mirror=address)


def test_what_is_there_is_found_without_the_lock(
    tmp_path: Path, mirror: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fetch_dataset("omniglot", tmp_path / "cache", mirror=str(mirror))
    monkeypatch.delattr(download, "locked")  # a read-only cache cannot be locked
    assert fetch_dataset("omniglot", tmp_path / "cache").from_cache


def test_a_failed_refetch_keeps_what_was_there(tmp_path: Path, mirror: Path) -> None:
    cache = tmp_path / "cache"
    before = fetch_dataset("omniglot", cache, mirror=str(mirror))
    with pytest.raises(DownloadError):
        fetch_dataset("omniglot", cache, offline=True, force=True)
    after = fetch_dataset("omniglot", cache, offline=True)
    assert after == replace(before, from_cache=True)


def test_leftovers_of_a_killed_fetch_are_removed(tmp_path: Path, mirror: Path) -> None:
    left = tmp_path / "cache" / ".omniglot.new-dead" / "new"
    left.mkdir(parents=True)
    check(fetch_dataset("omniglot", tmp_path / "cache", mirror=str(mirror)), tmp_path / "cache")


def test_a_cache_that_cannot_be_a_folder_is_an_environment_problem(tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("a file")
    with pytest.raises(EnvironmentProblem, match="cannot write the cache") as caught:
        fetch_dataset("omniglot", tmp_path / "cache", offline=True)
    assert "METACLI_CACHE" in str(caught.value.hint)


def test_a_path_that_is_not_there_is_named(tmp_path: Path) -> None:
    refused(tmp_path / "cache", "download.not_found", "no such file", from_=tmp_path / "none")


@pytest.mark.parametrize(
    "name", [one for one, found in registry.DATASETS.items() if not found.builder]
)
def test_there_is_nothing_to_fetch_of_what_is_made_where_it_is_used(
    name: str, tmp_path: Path
) -> None:
    found = fetch_dataset(name, tmp_path / "cache", offline=True)
    assert (found.bytes, found.digest, found.from_cache) == (0, None, True)


def test_what_is_made_here_needs_no_network(tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    glyphs = fetch_dataset("glyphs", cache, offline=True)
    assert glyphs.bytes > 20_000_000
    assert not glyphs.from_cache
    assert fetch_dataset("glyphs", cache, offline=True).from_cache


def test_an_unknown_name_is_answered_with_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no such data set - omniglott") as caught:
        fetch_dataset("omniglott", tmp_path)
    assert caught.value.hint == "did you mean omniglot or omniglot-alphabets?"


def test_the_opener_knows_the_web_alone() -> None:
    assert set(download._opener().handle_open) <= {"http", "https", "unknown"}


@pytest.mark.parametrize("message", ["28", "31360000 requested and 4096 written"])
def test_a_full_disk_is_reported_whoever_notices_it(
    tmp_path: Path, mirror: Path, monkeypatch: pytest.MonkeyPatch, message: str
) -> None:
    error = (
        OSError(errno.ENOSPC, "No space left on device") if message == "28" else OSError(message)
    )

    def full(*arguments: Any, **options: Any) -> None:
        raise error

    monkeypatch.setattr("metacli.data.cache.store.np.save", full)
    with pytest.raises(RunFailed, match="no space left") as caught:
        fetch_dataset("omniglot", tmp_path / "cache", mirror=str(mirror), offline=True)
    assert caught.value.exit_code == ExitCode.RUN_FAILED
    assert caught.value.code == "cache.disk_full"
    assert [one.name for one in (tmp_path / "cache").iterdir()] == ["omniglot.lock"]


@pytest.mark.parametrize("where", ["/dev/null/cache", "/proc/none/cache", "x" * 300, "y/" * 3000])
def test_a_cache_that_cannot_be_made_is_a_problem_of_the_environment(
    tmp_path: Path, where: str
) -> None:
    with pytest.raises(EnvironmentProblem, match="cannot write the cache folder") as caught:
        fetch_dataset("omniglot", tmp_path / where, offline=True)
    assert caught.value.exit_code == ExitCode.ENVIRONMENT
    assert len(str(caught.value.where)) < 400
