"""The server as a process: its socket, slow clients, a kill, its end."""

from __future__ import annotations

import json
import signal
import socket
import threading
import time
from pathlib import Path

import pytest
import served
from served import image_examples, in_base64, png
from tiny_models import adapted_model, saved, tiny_model

from metacli.cli.app import main
from metacli.engine.serving.server import listening
from metacli.errors import EnvironmentProblem

pytestmark = pytest.mark.usefixtures("workplace", "signals_heard")
QUESTION = {"model": "answers", "inputs": [in_base64(png(90))]}


@pytest.fixture
def models(workplace: Path) -> list[str]:
    made = tiny_model()
    return [saved(made, workplace / "learner"), saved(adapted_model(made), workplace / "answers")]


@pytest.mark.slow
def test_a_server_answers_until_it_is_stopped_and_says_what_it_did(models: list[str]) -> None:
    with served.process(*models, "--json", token="sesame") as running:
        assert running.address.startswith("http://127.0.0.1:")
        assert running.ask("GET", "/models").status == 401
        right = {"Authorization": "Bearer sesame", "Content-Type": "application/json"}
        body = json.dumps(QUESTION).encode()
        assert running.ask("POST", "/predict", body, right).status == 200
        running.process.send_signal(signal.SIGTERM)
        out, _ = running.process.communicate(timeout=30)
    result = json.loads(out)["result"]
    assert running.process.returncode == 0
    assert result["requests"] == {"200": 1, "401": 1}
    assert result["models"] == ["learner", "answers"]


@pytest.mark.slow
def test_slow_clients_are_let_go_and_keep_nobody_waiting(models: list[str]) -> None:
    with served.process(*models) as running:
        address = ("127.0.0.1", running.port)
        slow = [socket.create_connection(address) for _ in range(50)]
        for at, one in enumerate(slow):
            head = b"POST /predict HTTP/1.1\r\nHost: localhost\r\n"
            one.sendall(head if at % 2 else head + b"Content-Length: 100\r\n\r\n{")
        began = time.monotonic()
        for _ in range(5):
            assert running.post("/predict", QUESTION).status == 200
        assert time.monotonic() - began < 15  # less than what a slow client is waited for
        for one in slow:
            one.settimeout(60)
            said = one.recv(1000)  # let go: closed, or told that it was too slow
            assert said == b"" or said.startswith(b"HTTP/1.1 408")
            one.close()
        assert running.post("/predict", QUESTION).status == 200


@pytest.mark.slow
def test_what_was_answered_is_there_after_a_kill_in_the_middle_of_adapt(models: list[str]) -> None:
    answered: list[str] = []

    def client(running: served.Process) -> None:
        for _ in range(100):
            try:
                asked = {"model": "learner", "examples": image_examples()}
                reply = running.post("/adapt", asked)
                answered.append(reply.value["model"])
            except (OSError, ValueError, KeyError):
                return  # killed

    for kill_after in (1, 3):
        with served.process(*models, "-o", "served") as running:
            asking = threading.Thread(target=client, args=(running,))
            asking.start()
            before = len(answered)
            while len(answered) < before + kill_after:
                time.sleep(0.01)
            running.process.kill()
            asking.join()
    with served.process(*models, "-o", "served") as running:
        kept = running.ask("GET", "/models").value["adapted"]
        assert len(answered) >= 4
        assert set(answered) <= set(kept)
        for id in answered:
            inputs = {"model": id, "inputs": QUESTION["inputs"]}
            assert running.post("/predict", inputs).status == 200
    assert not [one for one in Path("served").iterdir() if "tmp" in one.name]


@pytest.mark.slow
def test_malformed_requests_are_4xx_and_the_process_does_not_grow(models: list[str]) -> None:
    """benchmarks/serve.py sends 10,000."""
    bodies = [b"{", b"[]", b'{"model": 3}', b"\x00" * 100, b'{"model": "answers", "inputs": [3]}']
    with served.process(*models) as running:

        def memory() -> int:
            page = running.ask("GET", "/metrics").body.decode()
            return int(page.rpartition("process_resident_memory_bytes ")[2])

        def round_of(count: int) -> None:
            for at in range(count):
                body, kind = (
                    bodies[at % len(bodies)],
                    ("application/json", "image/png", "x")[at % 3],
                )
                path = ("/predict", "/adapt", "/predict?model=answers", "/x")[at % 4]
                reply = running.ask("POST", path, body, {"Content-Type": kind})
                assert 400 <= reply.status < 500, reply.body

        round_of(120)
        before = memory()
        round_of(600)
        assert memory() - before < 20 * 2**20


def test_an_address_in_use_is_an_error_with_the_port(capsys: pytest.CaptureFixture[str]) -> None:
    with listening("127.0.0.1", 0) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(EnvironmentProblem, match=f"cannot listen at 127.0.0.1 port {port}"):
            listening("127.0.0.1", port)
    with pytest.raises(EnvironmentProblem, match=r"cannot listen at no\.such\.host\.invalid"):
        listening("no.such.host.invalid", 0)


def test_a_missing_model_is_said_before_anything_is_loaded(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["serve", "./nothing"]) == 3
    assert "no such model or run - ./nothing" in capsys.readouterr().err
