"""`make audit` passes only what was looked up, and `make test-lowest` installs what the
dependencies allow at least."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
import threading
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[2]
KNOWN = {
    "vulns": [
        {
            "id": "PYSEC-0000-1",
            "summary": "made up",
            "details": "made up",
            "published": "2026-01-01T00:00:00Z",
            "modified": "2026-01-01T00:00:00Z",
            "aliases": [],
            "affected": [
                {
                    "package": {"name": "numpy", "ecosystem": "PyPI"},
                    "ranges": [
                        {"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": "99"}]}
                    ],
                }
            ],
        }
    ]
}


def script(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, ROOT / ".ci" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    made = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(made)
    return made


@contextmanager
def service(status: int, answer: object) -> Iterator[str]:
    """The address of a service of advisories that answers every question alike."""

    class Answers(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            content = json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *words: object) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Answers)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/v1/query"
    finally:
        server.shutdown()
        server.server_close()


def audited(address: str) -> int:
    pytest.importorskip("pip_audit", reason="pip-audit is not installed: pip install '.[dev]'")
    options = ["--vulnerability-service", "osv", "--osv-url", address, "--timeout", "5"]
    return int(script("audit").audit(["numpy==2.0.0"], options))


@pytest.mark.slow
def test_an_audit_that_found_nothing_passes(capfd: pytest.CaptureFixture[str]) -> None:
    with service(200, {}) as address:
        assert audited(address) == 0
    assert "1 packages checked" in capfd.readouterr().err


@pytest.mark.slow
def test_a_known_vulnerability_fails(capfd: pytest.CaptureFixture[str]) -> None:
    with service(200, KNOWN) as address:
        assert audited(address) == 1
    assert "PYSEC-0000-1" in capfd.readouterr().out


@pytest.mark.parametrize("status", [404, 500, 503])
def test_a_service_that_fails_is_no_pass(status: int, capfd: pytest.CaptureFixture[str]) -> None:
    with service(status, {}) as address:
        assert audited(address) == 2
    assert "COULD NOT CHECK" in capfd.readouterr().err


@pytest.mark.slow
def test_a_service_that_is_not_there_is_no_pass() -> None:
    with service(200, {}) as address:
        pass
    assert audited(address) == 2


def test_what_is_installed_is_audited_without_this_project() -> None:
    found = script("audit").installed()
    names = {one.partition("==")[0].lower() for one in found}
    assert {"torch", "numpy", "pydantic"} <= names
    assert "metacli" not in names
    assert not any("+" in one for one in found)


def test_every_lower_bound_of_a_dependency_is_a_constraint() -> None:
    done = subprocess.run(
        [sys.executable, str(ROOT / ".ci" / "lowest.py")],
        capture_output=True,
        text=True,
        check=True,
    )
    found = dict(line.split("==") for line in done.stdout.splitlines())
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    for word in project["dependencies"]:
        name, _, version = word.partition(">=")
        assert found[name.strip().lower()] == version.partition(",")[0].strip(), word
