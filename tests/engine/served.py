"""A server without a socket, and one in a process of its own, for tests."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import re
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from metacli.engine.events import ignore
from metacli.engine.serving.app import make_app
from metacli.engine.serving.arrivals import Arrivals
from metacli.engine.serving.guard import Door, Guard
from metacli.engine.serving.lanes import Lane
from metacli.engine.serving.limits import Limits
from metacli.engine.serving.metrics import Metrics
from metacli.engine.serving.service import Service
from metacli.engine.serving.store import Adapted, open_named

JSON = "application/json"
CPU = torch.device("cpu")


@dataclass
class Reply:
    """An answer."""

    status: int
    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def value(self) -> Any:
        return json.loads(self.body)

    @property
    def error(self) -> Any:
        return self.value["error"]


@dataclass
class Server:
    """The whole of a server but its socket."""

    service: Service
    guard: Guard
    lanes: Mapping[str, Lane]
    bugs: list[str]

    async def ask_async(
        self,
        method: str,
        path: str,
        body: bytes | Sequence[bytes] = b"",
        headers: Mapping[str, str] | None = None,
    ) -> Reply:
        """One request; the body in parts, each of which may be a pause in seconds."""
        address, _, query = path.partition("?")
        given = {"host": "localhost:8000", **(headers or {})}
        scope = {
            "type": "http",
            "http_version": "1.1",
            "method": method,
            "path": address,
            "raw_path": address.encode(),
            "query_string": query.encode(),
            "root_path": "",
            "scheme": "http",
            "headers": [(k.lower().encode(), v.encode("latin-1")) for k, v in given.items()],
            "client": ("127.0.0.1", 5000),
            "server": ("127.0.0.1", 8000),
        }
        parts = [body] if isinstance(body, bytes) else list(body)
        sent: list[Any] = []

        async def receive() -> dict[str, Any]:
            part = parts.pop(0)
            if isinstance(part, float):
                await asyncio.sleep(part)
                part = parts.pop(0)
            return {"type": "http.request", "body": part, "more_body": bool(parts)}

        async def send(message: Any) -> None:
            sent.append(message)

        await self.guard(scope, receive, send)
        start, *rest = sent
        raw = {k.decode(): v.decode() for k, v in start["headers"]}
        return Reply(start["status"], b"".join(one["body"] for one in rest), raw)

    def ask(self, *words: Any, **more: Any) -> Reply:
        return asyncio.run(self.ask_async(*words, **more))

    def post(self, path: str, value: Any, **headers: str) -> Reply:
        return self.ask("POST", path, json.dumps(value).encode(), {"content-type": JSON, **headers})

    def close(self) -> None:
        for lane in self.lanes.values():
            lane.close()


@contextmanager
def server(
    names: Sequence[str], folder: Path, limits: Limits | None = None, door: Door | None = None
) -> Iterator[Server]:
    """A server of these models, on that folder."""
    limits, bugs = limits or Limits(workers=1), []
    folder.mkdir(parents=True, exist_ok=True)
    named = open_named(names, CPU, ignore)
    service = Service(named, Adapted(folder, CPU, limits), limits, CPU)
    lanes = {name: Lane(name, 1, limits.queue) for name in ("predict", "adapt")}
    metrics = Metrics()
    app = make_app(service, lanes, metrics)
    own = Door(hosts=frozenset({"localhost"})) if door is None else door
    guard = Guard(app, own, limits, Arrivals(limits.arrive_s, 100), metrics, bugs.append)
    made = Server(service, guard, lanes, bugs)
    try:
        yield made
    finally:
        made.close()


def png(value: int, seed: int = 0, size: int = 20) -> bytes:
    """A grey image as bright as `value`, with noise."""
    noise = np.random.default_rng([value, seed]).integers(0, 40, (size, size))
    file = BytesIO()
    Image.fromarray((noise + value).astype(np.uint8)).save(file, "PNG")
    return file.getvalue()


def in_base64(content: bytes) -> str:
    return base64.b64encode(content).decode("ascii")


def image_examples(classes: int = 3, each: int = 3) -> list[dict[str, Any]]:
    """Dark to light classes, `c0` and so on."""
    return [
        {"input": in_base64(png(80 * label, at)), "label": f"c{label}"}
        for label in range(classes)
        for at in range(each)
    ]


@dataclass
class Process:
    """`metacli serve` in a process of its own."""

    process: subprocess.Popen[str]
    address: str

    @property
    def port(self) -> int:
        return int(self.address.rpartition(":")[2])

    def ask(
        self,
        method: str,
        path: str,
        body: bytes | None = None,
        headers: Any = None,
        wait: float = 60,
    ) -> Reply:
        request = urllib.request.Request(
            self.address + path, data=body, headers=headers or {}, method=method
        )
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with opener.open(request, timeout=wait) as answer:
                return Reply(answer.status, answer.read(), dict(answer.headers))
        except urllib.error.HTTPError as error:
            return Reply(error.code, error.read(), dict(error.headers))

    def post(self, path: str, value: Any) -> Reply:
        return self.ask("POST", path, json.dumps(value).encode(), {"content-type": JSON})


@contextmanager
def process(
    *words: str, token: str | None = None, environment: Mapping[str, str] | None = None
) -> Iterator[Process]:
    """Ready when this yields; killed at the end."""
    command = [sys.executable, "-m", "metacli", "serve", *words, "--port", "0"]
    known = {**os.environ, **(environment or {}), **({"METACLI_TOKEN": token} if token else {})}
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen(command, text=True, env=known, **pipes) as started:
        assert started.stderr is not None
        said = ""
        try:
            for line in started.stderr:
                said += line
                if found := re.search(r" at (http://\S+?);", line):
                    yield Process(started, found[1])
                    break
            else:
                raise AssertionError(f"no server: {said}")
        finally:
            if started.poll() is None:
                started.kill()
