"""What a request may take, so that no client can take it from the others."""

from __future__ import annotations

from dataclasses import dataclass

from metacli.errors import UsageProblem

MIB = 2**20


@dataclass(frozen=True)
class Limits:
    """Bounds of the server.

    Args:
        workers: predictions at a time, each on one thread; one adaptation runs beside them.
        queue: requests that wait for a worker; more are refused with status 503.
        models: adapted models that are kept; memory: bytes of their parameters that stay in memory,
            beside encoders, which are shared. connections: at a time.
        body: bytes of a request. inputs: of a prediction. examples, classes: of an adaptation.
        arrive_s: seconds in which a request has to be here whole, and an answer be taken.
        predict_s, adapt_s: seconds after which a client is no longer kept waiting.
    """

    workers: int = 2
    queue: int = 64
    models: int = 10_000
    connections: int = 1_000
    memory: int = 1024 * MIB
    body: int = 32 * MIB
    inputs: int = 256
    examples: int = 2_000
    classes: int = 200
    arrive_s: float = 20.0
    predict_s: float = 30.0
    adapt_s: float = 300.0

    def __post_init__(self) -> None:
        """Raises UsageProblem."""
        for name in ("workers", "queue", "models"):
            if vars(self)[name] < 1:
                raise UsageProblem(f"--{name} wants 1 or more, found {vars(self)[name]}")
