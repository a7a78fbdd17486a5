"""Networks of the hub: one commit, safetensors alone, whole or not at all; from a local server laid
out as the hub is."""

from __future__ import annotations

import contextlib
import hashlib
import http.server
import json
import threading
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from metacli.data.cache import networks
from metacli.data.cache.networks import (
    PIN,
    Packaged,
    fetch_model,
    is_hub_name,
    kept_model,
    required_model,
)
from metacli.errors import BundleError, DataError, DownloadError, EnvironmentProblem

COMMIT, NAME = "0123456789abcdef0123456789abcdef01234567", "timm/tiny.test"
FILES = {
    "config.json": b'{"architecture": "tiny"}',
    "model.safetensors": b"weights",
    "pytorch_model.bin": b"\x80\x04.",
    "model.py": b"raise SystemExit",
    "onnx/model.safetensors": b"other",
}
pytest.importorskip("huggingface_hub", reason="in the extras [timm] and [text]")


@contextlib.contextmanager
def hub(files: dict[str, bytes], lie: str = "") -> Iterator[str]:
    """A server that has one model at one commit; the hash that it gives of `lie` is wrong."""

    def facts(name: str, content: bytes) -> dict[str, object]:
        known = {"rfilename": name, "size": len(content), "blobId": "0"}
        digest = hashlib.sha256(content + b"!" * (name == lie)).hexdigest()
        lfs = {"sha256": digest, "size": len(content), "pointerSize": 1}
        return {**known, "lfs": lfs} if name.endswith(".safetensors") else known

    class Hub(http.server.BaseHTTPRequestHandler):
        def log_message(self, *words: object) -> None:
            pass

        def do_HEAD(self) -> None:
            self.answer(head=True)

        def do_GET(self) -> None:
            self.answer(head=False)

        def answer(self, *, head: bool) -> None:
            asked = self.path.partition("?")[0]
            begin, body, status = f"/{NAME}/resolve/{COMMIT}/", b"", 200
            if asked in (f"/api/models/{NAME}", f"/api/models/{NAME}/revision/{COMMIT}"):
                siblings = [facts(*one) for one in files.items()]
                body = json.dumps({"id": NAME, "sha": COMMIT, "siblings": siblings}).encode()
            elif asked.startswith(begin) and asked.removeprefix(begin) in files:
                body = files[asked.removeprefix(begin)]
            else:
                status = 404
            self.send_response(status)
            if status == 404:
                self.send_header("X-Error-Code", "RepoNotFound")
            self.send_header("X-Repo-Commit", COMMIT)
            self.send_header("ETag", f'"{hashlib.sha256(body).hexdigest()}"')
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if not head:
                self.wfile.write(body)

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Hub) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture
def fetched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache with the model in it."""
    with hub(FILES) as address:
        monkeypatch.setenv("HF_ENDPOINT", address)
        made = fetch_model(NAME, tmp_path)
    assert not made.from_cache
    return tmp_path


def test_weights_and_settings_come_at_one_commit_and_nothing_else(fetched: Path) -> None:
    kept = required_model(NAME, fetched)
    assert kept.commit == COMMIT
    found = {path.name for path in kept.path.rglob("*") if path.is_file()}
    assert found == {"config.json", "model.safetensors", PIN}
    assert kept.bytes == len(FILES["config.json"]) + len(FILES["model.safetensors"])


def test_what_is_there_opens_no_socket_and_another_commit_is_refused(
    fetched: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    assert fetch_model(NAME, fetched, offline=True).from_cache
    assert fetch_model(f"{NAME}@{COMMIT[:8]}", fetched).from_cache
    with pytest.raises(DataError, match="at commit 0123456789ab"):
        fetch_model(f"{NAME}@feed", fetched)


def test_a_file_that_changed_is_named(fetched: Path) -> None:
    (required_model(NAME, fetched).path / "model.safetensors").write_bytes(b"other")
    with pytest.raises(DataError, match=r"model\.safetensors is not what was fetched") as caught:
        kept_model(NAME, fetched)
    assert caught.value.hint == f"metacli fetch {NAME} --force"


def refused(
    cache: Path, match: str, files: dict[str, bytes], name: str = NAME, lie: str = ""
) -> str:
    with hub(files, lie) as address, pytest.MonkeyPatch.context() as patch:
        patch.setenv("HF_ENDPOINT", address)
        with pytest.raises(DownloadError, match=match) as caught:
            fetch_model(name, cache)
    assert kept_model(name, cache) is None
    return caught.value.code


def test_a_pickle_is_refused(tmp_path: Path) -> None:
    files = {name: FILES[name] for name in ("config.json", "pytorch_model.bin")}
    assert refused(tmp_path, "only pytorch_model.bin, a pickle", files) == "download.pickle"


def test_a_name_that_the_hub_does_not_have(tmp_path: Path) -> None:
    assert refused(tmp_path, "the hub has no", FILES, "timm/other") == "download.not_found"


def test_a_file_with_another_hash_than_the_hub_gives(tmp_path: Path) -> None:
    code = refused(tmp_path, "not what the hub says", FILES, lie="model.safetensors")
    assert code == "download.digest"


def test_offline_opens_no_socket(tmp_path: Path) -> None:
    with pytest.raises(DownloadError, match="offline"):
        fetch_model(NAME, tmp_path, offline=True)
    with pytest.raises(BundleError) as caught:
        required_model(NAME, tmp_path)
    assert caught.value.hint == f"metacli fetch {NAME}"


@pytest.mark.parametrize(
    ("word", "means"),
    [("timm/a.b", True), ("minilm", True), ("resnet18", False), ("a/b/c", False), ("./a", False)],
)
def test_a_name_has_an_owner(word: str, means: bool) -> None:
    assert is_hub_name(word) == means


def test_a_package_is_unpacked_without_a_network_where_its_hash_is_known(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a_package").mkdir()
    file = tmp_path / "a_package/model.zip"
    with zipfile.ZipFile(file, "w") as archive:
        for name in ("config.json", "1_Pooling/config.json", "../outside.json", "run.py"):
            archive.writestr(name, name)
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    known = Packaged("a_package", "model.zip", digest, "a-package", "a-package 1")
    monkeypatch.setattr(networks, "PACKAGED", {"minilm": known})
    monkeypatch.syspath_prepend(tmp_path)
    made = fetch_model("minilm", tmp_path / "cache", offline=True)
    found = {p.relative_to(made.path).as_posix() for p in made.path.rglob("*") if p.is_file()}
    assert found == {"config.json", "1_Pooling/config.json", PIN}
    assert not (tmp_path / "outside.json").exists()
    file.write_bytes(b"other")
    with pytest.raises(DataError, match="not the file that metacli knows"):
        fetch_model("minilm", tmp_path / "cache", force=True)
    monkeypatch.setattr(
        networks, "PACKAGED", {"minilm": Packaged("nowhere", "a", "", "a-package", "")}
    )
    with pytest.raises(EnvironmentProblem, match="a-package is not installed"):
        fetch_model("minilm", tmp_path / "other")
