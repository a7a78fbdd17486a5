"""A model sent to a hub and brought back. The hub is a small server here."""

import base64
import contextlib
import hashlib
import http.server
import json
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

import metacli
from metacli.engine.hub import hub_name
from metacli.errors import BundleError, DownloadError, EnvironmentProblem, UsageProblem

STORED = Path(__file__).parents[1] / "fixtures" / "models"
hub = pytest.importorskip("huggingface_hub", reason="needs the extra hub")


class Hub:
    """Repositories in memory: name -> file -> bytes; a commit is a hash of all of them."""

    def __init__(self) -> None:
        self.repos: dict[str, dict[str, bytes]] = {}
        self.private: dict[str, bool] = {}
        self.allowed = True

    def commit(self, name: str) -> str:
        joined = b"".join(k.encode() + v for k, v in sorted(self.repos[name].items()))
        return hashlib.sha1(joined).hexdigest()


@contextlib.contextmanager
def serving(state: Hub) -> Iterator[str]:
    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def answer(self, value, status: int = 200, **headers: str) -> None:
            data = value if isinstance(value, bytes) else json.dumps(value).encode()
            self.send_response(status)
            for key, text in headers.items():
                self.send_header(key.replace("_", "-"), text)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(data)

        def body(self) -> bytes:
            return self.rfile.read(int(self.headers.get("Content-Length", 0)))

        def do_POST(self) -> None:
            body = self.body()
            if not state.allowed:
                self.answer({"error": "no"}, 403)
                return
            if self.path == "/api/repos/create":
                asked = json.loads(body)
                name = f"{asked['organization']}/{asked['name']}"
                state.repos.setdefault(name, {})
                state.private.setdefault(name, asked.get("visibility") == "private")
                self.answer({"url": f"{base}/{name}"})
            elif self.path == "/api/validate-yaml":
                self.answer({"errors": [], "warnings": []})
            elif "/preupload/" in self.path:
                files = [
                    {"path": one["path"], "uploadMode": "regular", "shouldIgnore": False}
                    for one in json.loads(body)["files"]
                ]
                self.answer({"files": files})
            elif "/commit/" in self.path:
                name = self.path.removeprefix("/api/models/").partition("/commit/")[0]
                for line in body.splitlines():
                    one = json.loads(line)
                    if one["key"] == "file":
                        content = base64.b64decode(one["value"]["content"])
                        state.repos[name][one["value"]["path"]] = content
                commit = state.commit(name)
                url = f"{base}/{name}/commit/{commit}"
                self.answer({"commitUrl": url, "commitOid": commit, "success": True})
            else:
                self.answer({}, 404)

        def do_GET(self) -> None:
            path = self.path.partition("?")[0]
            if path.startswith("/api/models/"):
                name = "/".join(path.split("/")[3:5])
                if name not in state.repos:
                    self.answer({}, 404, X_Error_Code="RepoNotFound")
                    return
                files = state.repos[name]
                siblings = [{"rfilename": k, "size": len(v)} for k, v in files.items()]
                self.answer(
                    {"id": name, "sha": state.commit(name), "siblings": siblings, "tags": []}
                )
                return
            owner, short, _, _, file = path.lstrip("/").split("/", 4)
            content = state.repos[f"{owner}/{short}"].get(file)
            if content is None:
                self.answer({}, 404, X_Error_Code="EntryNotFound")
                return
            commit = state.commit(f"{owner}/{short}")
            self.answer(
                content, X_Repo_Commit=commit, ETag=f'"{hashlib.sha1(content).hexdigest()}"'
            )

        def do_HEAD(self) -> None:
            self.do_GET()

        def log_message(self, *arguments: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        base = f"http://127.0.0.1:{server.server_address[1]}"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield base
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture
def state(monkeypatch, tmp_path):
    made = Hub()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("METACLI_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("HF_TOKEN", "secret")
    monkeypatch.delenv("METACLI_OFFLINE", raising=False)
    with serving(made) as base:
        monkeypatch.setenv("HF_ENDPOINT", base)
        yield made


@pytest.fixture
def model() -> Path:
    return next(path.parent for path in sorted(STORED.rglob("model.json")))


def test_what_was_pushed_is_fetched_and_is_a_model_by_its_name(state, model):
    sent = metacli.push(model, "team/digits", private=True)
    assert state.private == {"team/digits": True}
    assert sent["revision"] == state.commit("team/digits")
    got = metacli.fetch("hf:team/digits")
    assert (got["revision"], got["from_cache"]) == (sent["revision"], False)
    for file in ("model.json", "weights.safetensors"):
        assert (Path(got["path"]) / file).read_bytes() == (model / file).read_bytes()
    assert metacli.inspect("hf:team/digits")["valid"]
    assert metacli.fetch("hf:team/digits")["from_cache"]


def test_a_card_that_was_edited_on_the_hub_is_taken_and_weights_that_were_are_refused(
    state, model, tmp_path
):
    metacli.push(model, "team/digits")
    state.repos["team/digits"] |= {"README.md": b"# ours", ".gitattributes": b"x", "a/b": b"y"}
    got = metacli.fetch("hf:team/digits")
    assert (Path(got["path"]) / "README.md").read_bytes() == b"# ours"
    state.repos["team/digits"]["weights.safetensors"] += b"x"
    with pytest.raises(BundleError, match="damaged"):
        metacli.fetch("hf:team/digits", dir=tmp_path / "here")
    assert not (tmp_path / "here").exists()


def test_a_repository_of_something_else_is_not_a_model(state):
    state.repos["team/other"] = {"pytorch_model.bin": b"pickle"}
    with pytest.raises(BundleError, match="not a model of metacli"):
        metacli.fetch("hf:team/other")


def test_what_is_not_there_and_who_may_not_write_are_told(state, model):
    with pytest.raises(DownloadError, match="no such model"):
        metacli.fetch("hf:team/nothing")
    state.allowed = False
    with pytest.raises(DownloadError, match="the hub answered 403") as refusal:
        metacli.push(model, "team/digits")
    assert "HF_TOKEN" in refusal.value.hint


def test_a_dry_run_and_a_wrong_name_send_nothing(state, model):
    planned = metacli.push(model, "team/digits", dry_run=True)
    assert (planned["revision"], state.repos) == (None, {})
    assert "weights.safetensors" in planned["files"]
    with pytest.raises(UsageProblem, match="not a name on a hub"):
        metacli.push(model, "digits")


def test_a_hub_that_is_not_there_is_a_failed_download(state, model, monkeypatch):
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(DownloadError, match="cannot be reached"):
        metacli.fetch("hf:team/digits")


def test_offline_says_what_to_bring(state, monkeypatch):
    monkeypatch.setenv("METACLI_OFFLINE", "1")
    with pytest.raises(DownloadError, match="METACLI_OFFLINE") as refusal:
        metacli.fetch("hf:team/digits")
    assert "bring the model folder" in refusal.value.hint


def test_offline_nothing_is_sent(state, model, monkeypatch):
    monkeypatch.setenv("METACLI_OFFLINE", "1")
    with pytest.raises(DownloadError, match="METACLI_OFFLINE"):
        metacli.push(model, "team/digits")
    assert metacli.push(model, "team/digits", dry_run=True)["files"]


def test_a_model_that_was_not_fetched_names_the_command(state):
    with pytest.raises(BundleError, match="not fetched yet") as refusal:
        metacli.inspect("hf:team/digits")
    assert refusal.value.hint == "metacli fetch hf:team/digits"


def test_without_the_package_the_install_line_is_shown(state, model, monkeypatch):
    monkeypatch.setattr("metacli.engine.extras.find_spec", lambda module: None)
    with pytest.raises(EnvironmentProblem, match="needs huggingface_hub"):
        metacli.push(model, "team/digits")


@pytest.mark.parametrize("words", ["a/b@main", "hf:a/b", "my-org/x.y_z"])
def test_names_on_a_hub_are_read(words):
    assert "/" in hub_name(words).name
