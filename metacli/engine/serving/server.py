"""A socket, a loop, and an orderly end."""

from __future__ import annotations

import signal
import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import FrameType

import uvicorn
from starlette.types import ASGIApp

from metacli.engine.serving.arrivals import Arrivals, patient
from metacli.errors import EnvironmentProblem, UsageProblem

BACKLOG = 256
GRACE_S = 10  # for requests that are being answered when it is stopped
KEEP_ALIVE_S = 15
LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})


def listening(host: str, port: int) -> socket.socket:
    """A socket at that address; port 0 takes any that is free.

    Raises:
        EnvironmentProblem: the address is in use, or not of this machine.
    """
    if not 0 <= port <= 65_535:
        raise UsageProblem(f"--port wants 0 to 65535, found {port}")
    try:
        known = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        family, kind, protocol, _, address = known[0]
        made = socket.socket(family, kind, protocol)
    except OSError as error:
        raise no_address(host, port, error) from None
    try:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.bind(address)
        made.listen(BACKLOG)
    except OSError as error:
        made.close()
        raise no_address(host, port, error) from None
    return made


def no_address(host: str, port: int, error: OSError) -> EnvironmentProblem:
    return EnvironmentProblem(
        f"cannot listen at {host} port {port}: {error.strerror}",
        code="environment.address",
        where=f"{host}:{port}",
        hint="--port 0 takes any port that is free",
    )


def address_of(sock: socket.socket) -> str:
    """`http://127.0.0.1:8000`."""
    host, port = sock.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def names_of(host: str) -> frozenset[str] | None:
    """By which names it may be called; None: any, where others reach it."""
    return LOOPBACK if host.casefold() in LOOPBACK else None


def run(app: ASGIApp, sock: socket.socket, arrivals: Arrivals) -> None:
    """Serves until SIGINT or SIGTERM; requests that are being answered then get their answer."""
    config = uvicorn.Config(
        app,
        http=patient(arrivals),
        ws="none",
        lifespan="off",
        loop="asyncio",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        timeout_keep_alive=KEEP_ALIVE_S,
        timeout_graceful_shutdown=GRACE_S,
    )
    with signals_are_an_end((signal.SIGINT, signal.SIGTERM)):
        uvicorn.Server(config).run(sockets=[sock])


@contextmanager
def signals_are_an_end(numbers: Sequence[signal.Signals]) -> Iterator[None]:
    """uvicorn raises the signal that stopped it again when it is done: here that is the end that
    was asked for, and no error."""

    def done(number: int, frame: FrameType | None) -> None:
        """Nothing is left to do."""

    before = {number: signal.signal(number, done) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
