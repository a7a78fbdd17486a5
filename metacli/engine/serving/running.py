"""One server from its models to its end."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from metacli.engine.events import Notice, Reporter, ServerReady
from metacli.engine.results.serve import ServeResult
from metacli.engine.serving.app import make_app
from metacli.engine.serving.arrivals import Arrivals
from metacli.engine.serving.guard import Door, Guard
from metacli.engine.serving.lanes import Lane
from metacli.engine.serving.limits import Limits
from metacli.engine.serving.metrics import Metrics
from metacli.engine.serving.server import address_of, listening, names_of, run
from metacli.engine.serving.service import Service
from metacli.engine.serving.store import Adapted, open_named
from metacli.engine.storage.lock import hold
from metacli.engine.storage.paths import require_device

TOKEN = "METACLI_TOKEN"


@dataclass(frozen=True)
class Place:
    """Where a server is reached, keeps what clients adapted, and computes."""

    host: str
    port: int
    folder: Path
    device: str = "auto"


def serving(
    names: Sequence[str], place: Place, limits: Limits, report: Reporter, *, dry_run: bool = False
) -> ServeResult:
    """Raises as `serve`."""
    device = require_device(place.device)
    named = open_named(names, device, report)
    with listening(place.host, place.port) as sock:
        address = address_of(sock)
        if dry_run:
            return ServeResult(address, tuple(named), place.folder, 0, {})
        with hold(place.folder):
            service = Service(named, Adapted(place.folder, device, limits), limits, device)
            metrics, arrivals = Metrics(), Arrivals(limits.arrive_s, limits.connections)
            lanes = {
                "predict": Lane("predict", limits.workers, limits.queue),
                "adapt": Lane("adapt", 1, limits.queue),
            }
            app = make_app(service, lanes, metrics)
            noticed = noticing(report)
            guard = Guard(app, door(place.host, report), limits, arrivals, metrics, noticed)
            report(ServerReady(address, tuple(named), len(service.adapted)))
            try:
                run(guard, sock, arrivals)
            finally:
                for lane in lanes.values():
                    lane.close()
            kept = len(service.adapted)
    return ServeResult(address, tuple(named), place.folder, kept, by_status(metrics))


def noticing(report: Reporter) -> Callable[[str], None]:
    """Says what nobody foresaw where the server runs."""
    return lambda what: report(Notice(f"a bug in metacli: {what}", "bug"))


def door(host: str, report: Reporter) -> Door:
    """Who may ask; says where that is everybody."""
    token, hosts = os.environ.get(TOKEN) or None, names_of(host)
    if hosts is None and token is None:
        message = f"anybody who reaches {host} may ask: {TOKEN} sets a token"
        report(Notice(message, "serve.open"))
    return Door(token, hosts)


def by_status(metrics: Metrics) -> dict[str, int]:
    """How many requests were answered with each status."""
    counts = Counter[str]()
    for (_, status), count in sorted(metrics.requests.items(), key=lambda one: one[0][1]):
        counts[str(status)] += count
    return dict(counts)
