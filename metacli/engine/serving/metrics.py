"""What the server counts, in the text format of Prometheus. Labels are of a fixed set, so that no
client makes them grow."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

BOUNDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)  # seconds
STATUS = Path("/proc/self/status")


@dataclass
class Metrics:
    """Requests by route and status, and how long answers took."""

    requests: Counter[tuple[str, int]] = field(default_factory=Counter)
    within: Counter[tuple[str, float]] = field(default_factory=Counter)
    seconds: Counter[str] = field(default_factory=Counter)
    started: float = field(default_factory=time.time)

    def add(self, route: str, status: int, seconds: float) -> None:
        self.requests[route, status] += 1
        self.seconds[route] += seconds  # type: ignore[assignment]  # a Counter of floats
        for bound in BOUNDS:
            if seconds <= bound:
                self.within[route, bound] += 1

    def text(self, gauges: Mapping[str, float]) -> str:
        """The page; `gauges` are what is true now, by name."""
        return "".join(f"{line}\n" for line in self._lines(gauges))

    def _lines(self, gauges: Mapping[str, float]) -> Iterator[str]:
        yield "# TYPE metacli_requests_total counter"
        for (route, status), count in sorted(self.requests.items()):
            yield f'metacli_requests_total{{route="{route}",status="{status}"}} {count}'
        yield "# TYPE metacli_request_seconds histogram"
        totals: Counter[str] = Counter()
        for (route, _), count in self.requests.items():
            totals[route] += count
        for route, total in sorted(totals.items()):
            for bound in BOUNDS:
                count = self.within[route, bound]
                yield f'metacli_request_seconds_bucket{{route="{route}",le="{bound:g}"}} {count}'
            yield f'metacli_request_seconds_bucket{{route="{route}",le="+Inf"}} {total}'
            yield f'metacli_request_seconds_sum{{route="{route}"}} {self.seconds[route]:.6f}'
            yield f'metacli_request_seconds_count{{route="{route}"}} {total}'
        for name, value in {**gauges, **self._process()}.items():
            yield f"# TYPE {name} gauge"
            yield f"{name} {value:.17g}"

    def _process(self) -> dict[str, float]:
        found = {"process_start_time_seconds": self.started}
        memory = resident()
        return found if memory is None else {**found, "process_resident_memory_bytes": memory}


def resident() -> int | None:
    """Bytes of this process in memory; None where the system does not say."""
    with suppress(OSError, ValueError):
        for line in STATUS.read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) * 1024
    return None
