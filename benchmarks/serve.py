"""What `metacli serve` stands: requests a second, memory, malformed requests, kills.

    python benchmarks/serve.py rate         # 200/s with a Conv4, 25/s with the photo encoder
    python benchmarks/serve.py cost         # processor time of a request
    python benchmarks/serve.py memory       # 1,000 adapted models in one process
    python benchmarks/serve.py malformed    # 10,000 requests that make no sense
    python benchmarks/serve.py kills        # kill -9 in the middle of /adapt, again and again
    python benchmarks/serve.py rate --short # seconds in place of minutes; the tests' own sizes

Each writes its part of benchmarks/results/serve.json. Requests of `rate` leave at fixed times
whether or not the ones before were answered (an open loop), and a latency counts from the time at
which a request was to leave, so that a server that falls behind cannot hide it. Latencies are of
the wall clock, and so of whatever else the machine does: `load` is the load average beside them.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import json
import os
import random
import re
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image
from run import machine

RESULTS = Path(__file__).parent / "results" / "serve.json"
WARM = 10  # models before memory is looked at: what adapting takes once is no part of a model
OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))


class Server:
    """A process of `metacli serve`."""

    def __init__(self, process: subprocess.Popen[str], address: str) -> None:
        self.process, self.address = process, address

    def ask(
        self, method: str, path: str, body: bytes | None = None, kind: str = ""
    ) -> tuple[int, bytes]:
        headers = {"Content-Type": kind} if kind else {}
        request = urllib.request.Request(self.address + path, body, headers, method=method)
        try:
            with OPENER.open(request, timeout=300) as answer:
                return answer.status, answer.read()
        except urllib.error.HTTPError as error:
            return error.code, error.read()

    def post(self, path: str, value: object) -> dict[str, object]:
        status, body = self.ask("POST", path, json.dumps(value).encode(), "application/json")
        assert status in (200, 201), body[:500]
        return json.loads(body)

    def memory(self) -> int:
        """Bytes of the process in memory."""
        page = self.ask("GET", "/metrics")[1].decode()
        return int(float(page.rpartition("process_resident_memory_bytes ")[2]))

    def processor_time(self) -> float:
        """Seconds of user and system time of the process."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(") ")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@contextmanager
def server(*words: str) -> Iterator[Server]:
    """Ready when this yields; killed at the end."""
    command = [sys.executable, "-m", "metacli", "serve", *words, "--port", "0"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        for line in process.stderr:
            if found := re.search(r" at (http://\S+?);", line):
                break
        else:
            raise SystemExit("the server did not start")
        threading.Thread(target=process.stderr.read, daemon=True).start()
        try:
            yield Server(process, found[1])
        finally:
            process.kill()


def png(label: int, seed: int, size: int, colour: bool = False) -> bytes:
    """An image of a class: a stripe whose angle is the label, with noise."""
    draw = np.random.default_rng([label, seed])
    y, x = np.mgrid[:size, :size] / size
    wave = np.sin(20 * (x * np.cos(label) + y * np.sin(label)) + draw.uniform(0, 0.5))
    pixels = (128 + 100 * wave + draw.normal(0, 10, (size, size))).clip(0, 255).astype(np.uint8)
    file = BytesIO()
    Image.fromarray(np.stack([pixels] * 3, 2) if colour else pixels).save(file, "PNG")
    return file.getvalue()


def examples(
    size: int, colour: bool, seed: int = 0, classes: int = 5, each: int = 5
) -> list[object]:
    return [
        {
            "input": base64.b64encode(png(label, 100 * seed + at, size, colour)).decode(),
            "label": f"class {label}",
        }
        for label in range(classes)
        for at in range(each)
    ]


def conv4_model(folder: Path) -> str:
    """A ProtoNet on a Conv4 of width 64 for 28 x 28, fresh: what it costs is what counts here."""
    sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "engine"))
    from tiny_models import saved, tiny_model

    return saved(tiny_model(shape=(1, 28, 28), width=64, norm="group"), folder / "conv4")


# requests a second


async def one_request(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, raw: bytes
) -> int:
    writer.write(raw)
    await writer.drain()
    head = await reader.readuntil(b"\r\n\r\n")
    length = re.search(rb"content-length: (\d+)", head, re.IGNORECASE)
    assert length is not None
    await reader.readexactly(int(length[1]))
    return int(head.split(b" ", 2)[1])


async def open_loop(
    port: int, raw: bytes, rate: float, seconds: float
) -> tuple[list[float], list[int]]:
    """Latencies and statuses of requests that leave every 1/rate seconds, on kept connections."""
    free: asyncio.Queue[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = asyncio.Queue()
    latencies: list[float] = []
    statuses: list[int] = []
    begin = time.monotonic() + 0.2

    async def leave(at: float) -> None:
        if free.empty():
            pair = await asyncio.open_connection("127.0.0.1", port)
        else:
            pair = free.get_nowait()
        try:
            statuses.append(await one_request(*pair, raw))
            free.put_nowait(pair)
        except (OSError, asyncio.IncompleteReadError):  # closed on a server that is far behind
            statuses.append(0)
        latencies.append(time.monotonic() - at)

    tasks = []
    for number in range(int(rate * seconds)):
        at = begin + number / rate
        await asyncio.sleep(max(0.0, at - time.monotonic()))
        tasks.append(asyncio.create_task(leave(at)))
    await asyncio.gather(*tasks)
    return latencies, statuses


async def one_by_one(port: int, raw: bytes, count: int) -> None:
    """Requests on one connection, each after the answer to the one before."""
    pair = await asyncio.open_connection("127.0.0.1", port)
    for _ in range(count):
        assert await one_request(*pair, raw) == 200
    pair[1].close()


def cost(count: int) -> dict[str, object]:
    """Processor time of the server for a request of one image, whatever else the machine does."""
    rows = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with server(conv4_model(folder), "photos", "-o", str(folder / "served")) as running:
            for model, size, colour in (("conv4", 28, False), ("photos", 320, True)):
                raw, port = ready(running, model, size, colour)
                asyncio.run(one_by_one(port, raw, 10))
                before = running.processor_time()
                asyncio.run(one_by_one(port, raw, count))
                spent = 1000 * (running.processor_time() - before) / count
                rows.append({"model": model, "requests": count, "processor_ms": spent})
    return {"rows": rows}


def ready(running: Server, model: str, size: int, colour: bool) -> tuple[bytes, int]:
    """A request for a model that is adapted now, and the port."""
    id = running.post("/adapt", {"model": model, "examples": examples(size, colour)})["model"]
    image = png(1, 999, size, colour)
    head = f"POST /predict?model={id} HTTP/1.1\r\nHost: localhost\r\n"
    head += f"Content-Type: image/png\r\nContent-Length: {len(image)}\r\n\r\n"
    return head.encode() + image, int(running.address.rpartition(":")[2])


def rate(count: int) -> dict[str, object]:
    """p50 and p99 at the rates of the aim for so many seconds, and the processor time of a
    request."""
    rows = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with server(conv4_model(folder), "photos", "-o", str(folder / "served")) as running:
            plans = (("conv4", 28, False, 200.0, 0.1), ("photos", 320, True, 25.0, 1.0))
            for model, size, colour, aim, bound in plans:
                raw, port = ready(running, model, size, colour)
                asyncio.run(open_loop(port, raw, aim / 4, 2))  # warm
                before = running.processor_time()
                times, codes = asyncio.run(open_loop(port, raw, aim, count))
                spent = running.processor_time() - before
                quantiles = [float(np.quantile(times, one)) for one in (0.5, 0.99, 1.0)]
                rows.append(
                    {
                        "model": model,
                        "image": f"{size} x {size} PNG",
                        "requests_per_second": aim,
                        "requests": len(times),
                        "not_answered": sum(code != 200 for code in codes),
                        "p50_s": quantiles[0],
                        "p99_s": quantiles[1],
                        "max_s": quantiles[2],
                        "aim_p99_s": bound,
                        "processor_ms_per_request": 1000 * spent / len(times),
                    }
                )
                print(rows[-1])
    return {"rows": rows}


# memory


def memory(count: int) -> dict[str, object]:
    """One process with many adapted models, all of which have answered."""
    rows = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with server(conv4_model(folder), "photos", "-o", str(folder / "served")) as running:
            for model, size, colour in (("conv4", 28, False), ("photos", 64, True)):
                for at in range(count // 2):
                    if at == WARM:
                        before = running.memory()
                    asked = {"model": model, "examples": examples(size, colour, at, 3, 2)}
                    id = running.post("/adapt", asked)["model"]
                    image = png(1, at, size, colour)
                    status, _ = running.ask("POST", f"/predict?model={id}", image, "image/png")
                    assert status == 200
                after = running.memory()
                rows.append(
                    {
                        "model": model,
                        "adapted": count // 2 - WARM,
                        "bytes_each": (after - before) / (count // 2 - WARM),
                    }
                )
                print(rows[-1])
            page = running.ask("GET", "/metrics")[1].decode()
            kept = int(float(re.search(r"^metacli_models_in_memory (\S+)", page, re.MULTILINE)[1]))
            whole = running.memory()
    return {"models": count, "in_memory": kept, "bytes": whole, "aim": 2 * 2**30, "rows": rows}


# malformed requests


def nonsense(draw: random.Random, good: bytes, id: str) -> tuple[str, str, bytes, str]:
    """(method, path, body, content type) of a request that cannot be answered."""
    kinds = ("application/json", "image/png", "text/csv", "text/plain", "", "multipart/form-data")
    paths = ("/predict", "/adapt", f"/predict?model={id}", "/predict?model=x&reject=y", "/nothing")
    values: tuple[object, ...] = (
        None,
        3,
        -1.5e308,
        "x",
        [],
        {},
        [[]],
        {"a": {"b": []}},
        "\x00",
        True,
    )
    whole = {
        "model": draw.choice(values),
        "inputs": draw.choice(values),
        "examples": draw.choice(values),
    }
    for key in list(whole):
        if draw.random() < 0.3:
            del whole[key]
    if draw.random() < 0.3:
        whole["model"] = draw.choice((id, "conv4"))
        whole["inputs"] = [draw.choice(values) for _ in range(draw.randrange(4))]
    text = json.dumps(whole).encode()
    cut = text[: draw.randrange(len(text))]
    flipped = bytearray(good)
    for _ in range(draw.randrange(1, 8)):
        flipped[draw.randrange(8)] ^= 1 << draw.randrange(8)  # its signature
    body = draw.choice(
        (text, cut, bytes(flipped), good[: draw.randrange(8)], draw.randbytes(60), b"[" * 5000)
    )
    method = draw.choices(("POST", "PUT", "DELETE", "PATCH"), (12, 1, 1, 1))[0]
    return method, draw.choice(paths), body, draw.choice(kinds)


def malformed(count: int) -> dict[str, object]:
    """Statuses, and memory before and after."""
    draw, statuses = random.Random(0), {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with server(conv4_model(folder), "-o", str(folder / "served")) as running:
            id = str(
                running.post("/adapt", {"model": "conv4", "examples": examples(28, False)})["model"]
            )
            good = png(1, 0, 28)
            for at in range(count):
                if at == count // 5:
                    before = running.memory()
                method, path, body, kind = nonsense(draw, good, id)
                status, said = running.ask(method, path, body, kind)
                statuses[status] = statuses.get(status, 0) + 1
                if not 400 <= status < 500:
                    raise SystemExit(
                        f"{status}: {method} {path} {body[:200]!r} {kind} {said[:300]!r}"
                    )
            after = running.memory()
    found = {str(code): n for code, n in sorted(statuses.items())}
    return {
        "requests": count,
        "statuses": found,
        "bytes_after_a_fifth": before,
        "bytes_at_the_end": after,
    }


# kills


def kills(count: int) -> dict[str, object]:
    """Whether each model that was answered is there, whole, after the next start. The kill comes
    after none to two more answers, at any moment of the next adaptation."""
    draw = random.Random(1)
    answered: list[str] = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        model, served = conv4_model(folder), folder / "served"

        def client(running: Server) -> None:
            while True:
                try:
                    asked = {"model": "conv4", "examples": examples(28, False, len(answered), 3, 2)}
                    answered.append(str(running.post("/adapt", asked)["model"]))
                except (OSError, AssertionError, ValueError):
                    return

        lost = 0
        for _ in range(count):
            with server(model, "-o", str(served)) as running:
                kept = json.loads(running.ask("GET", "/models")[1])["adapted"]
                lost += len(set(answered) - set(kept))
                asking = threading.Thread(target=client, args=(running,))
                asking.start()
                wanted = len(answered) + draw.randrange(3)
                while len(answered) < wanted:
                    time.sleep(0.002)
                time.sleep(draw.uniform(0.0, MIDDLE))
                running.process.kill()
                asking.join()
        with server(model, "-o", str(served)) as running:
            image, broken = png(1, 0, 28), 0
            for id in answered:
                status, _ = running.ask("POST", f"/predict?model={id}", image, "image/png")
                broken += status != 200
    return {"kills": count, "answered": len(answered), "lost": lost, "broken": broken}


MIDDLE = 0.5  # seconds, longer than an adaptation


PARTS = {  # what is counted, and how much of it: usually, and with --short
    "rate": (rate, 60, 4),
    "cost": (cost, 300, 20),
    "memory": (memory, 1_000, 20),
    "malformed": (malformed, 10_000, 400),
    "kills": (kills, 50, 3),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("part", choices=PARTS)
    parser.add_argument("--short", action="store_true", help="small sizes; writes nothing")
    parser.add_argument("--count", type=int, help="seconds, models, requests, kills")
    asked = parser.parse_args()
    measure, usual, small = PARTS[asked.part]
    made = measure(asked.count or (small if asked.short else usual))
    found = {**made, "load": os.getloadavg()[0], "machine": machine()}
    print(json.dumps(found, indent=2))
    if not asked.short:
        whole = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
        RESULTS.write_text(json.dumps({**whole, asked.part: found}, indent=2) + "\n")


if __name__ == "__main__":
    main()
