"""Connections that are slow: whoever sends nothing, or a little now and then, is let go, and keeps
nobody else waiting meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import MutableMapping
from dataclasses import dataclass, field
from typing import TypeAlias

from uvicorn.protocols.http.h11_impl import H11Protocol

Peer: TypeAlias = tuple[str, int]


@dataclass
class Arrivals:
    """The connections of one server, by the address of the other end.

    Args:
        seconds: within which the head of a request has to be here whole.
        most: connections at a time; more are closed at once.
    """

    seconds: float
    most: int
    open: MutableMapping[Peer, Patient] = field(default_factory=dict)

    def begin(self, peer: Peer | None) -> None:
        """The head of a request is here, and it is being answered."""
        if peer in self.open and peer is not None:
            self.open[peer].answering(True)

    def end(self, peer: Peer | None) -> None:
        """It was answered."""
        if peer in self.open and peer is not None:
            self.open[peer].answering(False)

    def drop(self, peer: Peer | None) -> None:
        """Closed at once, whatever was not taken."""
        if peer in self.open and peer is not None:
            self.open[peer].abort()


class Patient(H11Protocol):
    """uvicorn's connection, with an end to waiting for the head of a request."""

    arrivals: Arrivals

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._busy = False
        self._timer: asyncio.TimerHandle | None = None
        self._peer: Peer = tuple(transport.get_extra_info("peername")[:2])
        if len(self.arrivals.open) >= self.arrivals.most:
            transport.abort()
            return
        self.arrivals.open[self._peer] = self
        self._wait()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if not self._busy and self._timer is None:
            self._wait()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_waiting()
        if self.arrivals.open.get(self._peer) is self:
            del self.arrivals.open[self._peer]
        super().connection_lost(exc)

    def answering(self, busy: bool) -> None:
        """Between the head of a request and its answer nothing is waited for here."""
        self._busy = busy
        self._stop_waiting()

    def abort(self) -> None:
        self.transport.abort()

    def _wait(self) -> None:
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(self.arrivals.seconds, self.abort)

    def _stop_waiting(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


def patient(arrivals: Arrivals) -> type[Patient]:
    """The class of connections of one server."""
    return type("PatientHere", (Patient,), {"arrivals": arrivals})
