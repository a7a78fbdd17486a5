"""Every data set by name has an address. All are fetched here from a local server that is laid out
like the originals, with small files of the same form in place of the real ones."""

from __future__ import annotations

import contextlib
import hashlib
import http.server
import io
import tarfile
import threading
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

from metacli.data.cache.archives import contents_digest
from metacli.data.cache.download import fetch_dataset
from metacli.data.cache.kept_files import read_members
from metacli.data.catalogue import cifar, cifar_binary, registry
from metacli.data.catalogue.entries import Archive, DataSet, RawFile
from metacli.data.catalogue.registry import DATASETS
from metacli.errors import DownloadError

FETCHED = [name for name, one in DATASETS.items() if one.archives]


@contextlib.contextmanager
def serving(files: Mapping[str, bytes]) -> Iterator[str]:
    """A web server that has these paths, and nothing else."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            content = files.get(unquote(self.path))
            self.send_response(404 if content is None else 200)
            self.send_header("Content-Length", str(len(content or b"")))
            self.end_headers()
            self.wfile.write(content or b"")

        def log_message(self, *arguments: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join()


def at(base: str, url: str) -> str:
    """The same path on the local server; hosts become folders."""
    parts = urlsplit(url)
    return f"{base}/{parts.netloc}{parts.path}"


def content_for(key: str) -> bytes:
    return f"a small file in place of {key}\n".encode()


def zipped(members: Mapping[str, bytes], folder: str) -> bytes:
    """As a repository's archive is: in a folder, beside other files."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr(f"{folder}README.md", "about")
        for name, content in members.items():
            archive.writestr(f"{folder}{name}", content)
    return out.getvalue()


def small(archive: Archive, base: str, site: dict[str, bytes]) -> Archive:
    """The archive with small members, which are put on the site where the originals are."""
    if archive.shipped:
        return archive
    if archive.raw:
        some = archive.raw[:4]
        members = {one.key: content_for(one.key) for one in some}
        for one in some:
            site[f"/{urlsplit(one.url).netloc}{unquote(urlsplit(one.url).path)}"] = members[one.key]
        raw = tuple(
            RawFile(one.key, at(base, one.url), hashlib.sha256(members[one.key]).hexdigest())
            for one in some
        )
        made = {"raw": raw}
    elif archive.other is not None:
        return replace(archive, other=small(archive.other, base, site))
    elif archive.packing == "cifar":
        url = archive.urls[0]
        records = [bytes([7, number]) + bytes([number, 9]) * 1536 for number in range(4)]
        out = io.BytesIO()
        with tarfile.open(fileobj=out, mode="w:gz") as packed:
            for name, part in (("train.bin", records[:3]), ("test.bin", records[3:])):
                info = tarfile.TarInfo(f"cifar-100-binary/{name}")
                info.size = sum(map(len, part))
                packed.addfile(info, io.BytesIO(b"".join(part)))
        site[f"/{urlsplit(url).netloc}{urlsplit(url).path}"] = out.getvalue()
        members = {f"{row:05d}": records[row][2:] for row in (0, 3)}
        made = {"urls": (at(base, url),)}
    else:
        url = archive.urls[0]
        if archive.packing == "zip":
            inner = "/".join([archive.name] * (archive.depth - 1) + [f"a{archive.suffix}"])
            members = {inner: content_for(archive.name)}
            content = zipped(members, "repository-main/recordings/")
        else:
            key = archive.name.removesuffix(".gz")
            members = {key: content_for(key)}
            content = members[key]
            if archive.packing == "gzip":
                import gzip

                content = gzip.compress(content)
        site[f"/{urlsplit(url).netloc}{unquote(urlsplit(url).path)}"] = content
        made = {"urls": (at(base, url),)}
    return replace(
        archive,
        **made,
        contents=contents_digest(members),
        members=len(members),
        bytes=10_000,
        unpacked=100_000,
    )


@pytest.mark.parametrize("name", FETCHED)
def test_every_name_has_an_address_on_the_web(name: str) -> None:
    for archive in DATASETS[name].archives:
        assert archive.has_address
        last = archive.other or archive
        addresses = [*archive.urls, *last.urls, *(one.url for one in archive.raw)]
        assert addresses or archive.shipped
        assert all(one.startswith("https://") for one in addresses)


@pytest.mark.parametrize("name", FETCHED)
def test_every_name_is_fetched_from_a_server_laid_out_like_the_original(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    site: dict[str, bytes] = {}
    monkeypatch.setattr(cifar_binary, "RECORDS", {"train.bin": 3, "test.bin": 1})
    monkeypatch.setattr(cifar_binary, "wanted_rows", wanted)
    with serving(site) as base:
        found = DATASETS[name]
        archives = tuple(small(one, base, site) for one in found.archives)
        kept = "metacli.data.cache.kept_files:keep"
        made: DataSet = replace(found, archives=archives, builder=kept, shares="")
        monkeypatch.setitem(registry.DATASETS, name, made)
        result = fetch_dataset(name, tmp_path)
    members = read_members(tmp_path, made.folder, "no zip")
    assert not result.from_cache
    assert len(members) == sum(o.other.members if o.other else o.members for o in archives)
    assert fetch_dataset(name, tmp_path, offline=True).from_cache


def wanted() -> dict[bytes, list[int]]:
    """Of the four small records, the first and the last are wanted."""
    pixels = {row: bytes([row, 9]) * 1536 for row in (0, 3)}
    return {hashlib.sha256(one).digest()[:6]: [row] for row, one in pixels.items()}


@pytest.mark.parametrize("name", FETCHED)
def test_offline_the_message_says_what_to_bring_and_where(name: str, tmp_path: Path) -> None:
    with pytest.raises(DownloadError) as error:
        fetch_dataset(name, tmp_path, offline=True)
    assert error.value.code == "download.offline"
    first = next(one for one in DATASETS[name].archives if not one.shipped)
    assert first.name in (error.value.hint or "")
    assert f"metacli fetch {name} --from PATH" in (error.value.hint or "")


def test_a_file_that_was_altered_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    site: dict[str, bytes] = {}
    with serving(site) as base:
        found = DATASETS["hwu64"]
        archives = tuple(small(one, base, site) for one in found.archives)
        monkeypatch.setitem(registry.DATASETS, "hwu64", replace(found, archives=archives))
        bad = sorted(site)[1]
        site[bad] += b"!"
        with pytest.raises(DownloadError, match=r"HWU64/test/seq\.in is another") as error:
            fetch_dataset("hwu64", tmp_path)
    assert error.value.code == "download.checksum"
    assert not (tmp_path / "hwu64").exists()


def test_files_of_a_folder_are_taken_in_place_of_an_archive(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = DATASETS["adult"]
    archives = tuple(small(one, "http://127.0.0.1:9", {}) for one in found.archives)
    monkeypatch.setitem(registry.DATASETS, "adult", replace(found, archives=archives))
    for one in archives[0].raw:
        (tmp_path / "mine").mkdir(exist_ok=True)
        (tmp_path / "mine" / one.key).write_bytes(content_for(one.key))
    fetch_dataset("adult", tmp_path / "cache", from_=tmp_path / "mine", offline=True)
    assert set(read_members(tmp_path / "cache", "adult", "adult.zip")) == {
        "adult.data",
        "adult.names",
        "adult.test",
    }


def test_the_list_of_cifar_names_as_many_images_as_its_archive() -> None:
    rows = [row for some in cifar_binary.wanted_rows().values() for row in some]
    assert sorted(rows) == list(range(DATASETS["cifar-fs"].archives[0].members))
    assert sum(cifar.COUNTS[one.cifar_fs] for one in cifar.things()) == len(rows)
