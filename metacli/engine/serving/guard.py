"""What stands before every route: who may ask, how large and how slow a request may be, what
becomes of errors, and what is counted."""

from __future__ import annotations

import asyncio
import hmac
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from metacli.data.files import shown
from metacli.engine.serving.arrivals import Arrivals
from metacli.engine.serving.limits import Limits
from metacli.engine.serving.metrics import Metrics
from metacli.engine.serving.refusals import Refused, bug, document, status_of
from metacli.errors import MetacliError

OPEN = frozenset({"/", "/docs", "/openapi.json", "/health"})  # without the token
ROUTES = ("predict", "adapt", "models", "health", "metrics", "docs", "openapi.json")
SAFE = (
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cache-control", b"no-store"),
)


class Gone(Exception):
    """The client went away, or does not take its answer."""


@dataclass(frozen=True)
class Door:
    """Who may ask.

    Args:
        token: behind `Authorization: Bearer`; None: nobody is asked for one.
        hosts: names by which the server may be called; None: any. A page of another site that has
            its own name lead to this machine calls it by that name.
    """

    token: str | None = None
    hosts: frozenset[str] | None = None

    def require(self, path: str, headers: Mapping[bytes, bytes]) -> None:
        """Raises Refused (401 or 403)."""
        host = headers.get(b"host", b"").decode("latin-1")
        if self.hosts is not None and without_port(host) not in self.hosts:
            raise Refused(
                403,
                f"this server is not called {shown(host)[:100]!r}",
                code="serve.host",
                where="Host",
                hint="--host says by which name or address others reach it",
            )
        if self.token is None or path in OPEN:
            return
        given = headers.get(b"authorization", b"")
        if not hmac.compare_digest(given, b"Bearer " + self.token.encode()):
            raise Refused(
                401,
                "a token is wanted" if not given else "this is not the token",
                code="serve.token",
                where="Authorization",
                hint="Authorization: Bearer TOKEN",
            )


def without_port(host: str) -> str:
    """`localhost` of `localhost:80`, `::1` of `[::1]:80`."""
    if host.startswith("["):
        return host[1:].partition("]")[0].casefold()
    return host.partition(":")[0].casefold()


@dataclass(frozen=True)
class Guard:
    """An ASGI application around the one with the routes."""

    app: ASGIApp
    door: Door
    limits: Limits
    arrivals: Arrivals
    metrics: Metrics
    noticed: Callable[[str], None]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        peer = None if scope["client"] is None else tuple(scope["client"][:2])
        began, answer = time.monotonic(), Answer(send, self.limits.arrive_s)
        self.arrivals.begin(peer)
        try:
            await self._answer(scope, receive, answer)
        except (Gone, TimeoutError):
            self.arrivals.drop(peer)
        finally:
            self.arrivals.end(peer)
            self.metrics.add(route_of(scope["path"]), answer.status, time.monotonic() - began)

    async def _answer(self, scope: Scope, receive: Receive, answer: Answer) -> None:
        try:
            self.door.require(scope["path"], dict(scope["headers"]))
            body = await self._body(dict(scope["headers"]), receive)
            await self.app(scope, replayed(body, receive), answer)
        except MetacliError as error:
            await refuse(answer, error)
        except (Gone, TimeoutError):
            raise
        except Exception as error:  # noqa: BLE001  # one request must not end the server
            self.noticed(f"{type(error).__name__}: {error}")
            if not answer.whole:  # the routes have said it
                await refuse(answer, bug(error))

    async def _body(self, headers: Mapping[bytes, bytes], receive: Receive) -> bytes:
        """The whole of it. Raises Refused: too large (413) or too slow (408)."""
        most = self.limits.body
        said = headers.get(b"content-length", b"0")
        if said.isdigit() and int(said[:20]) > most:
            raise too_large(most)
        parts, size = [], 0
        try:
            async with asyncio.timeout(self.limits.arrive_s):
                while True:
                    message = await receive()
                    if message["type"] == "http.disconnect":
                        raise Gone
                    part = message.get("body", b"")
                    size += len(part)
                    if size > most:
                        raise too_large(most)
                    parts.append(part)
                    if not message.get("more_body", False):
                        return b"".join(parts)
        except TimeoutError:
            raise Refused(
                408,
                f"the body was not here whole within {self.limits.arrive_s:g} seconds",
                code="serve.slow",
                where="body",
            ) from None


class Answer:
    """Sends, with an end to waiting for a client that does not take it; `status` is what was said,
    `whole` whether all of it was."""

    def __init__(self, send: Send, seconds: float) -> None:
        self._send, self._seconds, self.status, self.whole = send, seconds, 499, False

    @property
    def begun(self) -> bool:
        return self.status != 499

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            message = {**message, "headers": [*message.get("headers", ()), *SAFE]}
        async with asyncio.timeout(self._seconds):
            await self._send(message)
        self.whole = message["type"] == "http.response.body" and not message.get("more_body")


async def refuse(answer: Answer, error: MetacliError) -> None:
    """The error as an answer, where none has begun. The rest of the request is not read."""
    if answer.begun:
        raise Gone
    body = document(error)
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
    headers.append((b"connection", b"close"))
    headers += extra_headers(error)
    start: Message = {
        "type": "http.response.start",
        "status": status_of(error),
        "headers": headers,
    }
    await answer(start)
    await answer({"type": "http.response.body", "body": body})


def extra_headers(error: MetacliError) -> list[tuple[bytes, bytes]]:
    """When to come again, and that a token is wanted."""
    if not isinstance(error, Refused):
        return []
    found = [] if error.after is None else [(b"retry-after", b"%d" % error.after)]
    return [*found, (b"www-authenticate", b"Bearer")] if error.status == 401 else found


def too_large(most: int) -> Refused:
    return Refused(
        413,
        f"the body is larger than {most} bytes",
        code="request.size",
        where="body",
        hint="send fewer or smaller inputs",
    )


def replayed(body: bytes, receive: Receive) -> Receive:
    """A body that is here already, and then whatever else comes."""
    given = False

    async def again() -> Message:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return again


def route_of(path: str) -> str:
    """The name under which a path is counted."""
    first = path.strip("/").partition("/")[0]
    return first if first in ROUTES else "page" if path == "/" else "other"
