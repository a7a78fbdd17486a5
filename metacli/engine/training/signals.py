"""Ctrl-C, SIGTERM and SIGHUP set a flag that the training loop looks at once a step; a second one
stops at once."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType

from metacli.engine.events import Reporter

WATCHED = tuple(
    getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)
)


@dataclass(frozen=True)
class Control:
    """What long work listens to and speaks to.

    Args:
        received: the number of a signal that came, or None.
    """

    received: Callable[[], int | None]
    report: Reporter

    @property
    def stopped(self) -> bool:
        return self.received() is not None


@contextmanager
def watch() -> Iterator[Callable[[], int | None]]:
    """Within the block, the function given back tells the number of a signal that arrived, or None.

    Outside the main thread Python takes no handlers, and signals keep their usual meaning.
    """
    received: list[int] = []
    if threading.current_thread() is not threading.main_thread():
        yield lambda: None
        return

    def remember(number: int, frame: FrameType | None) -> None:
        received.append(number)
        restore()  # the second one, of whatever kind, stops at once

    def restore() -> None:
        for number, handler in before.items():
            signal.signal(number, handler)

    # None: a handler that was not set from Python cannot be put back, so it is left alone
    found = {number: signal.getsignal(number) for number in WATCHED}
    before = {number: handler for number, handler in found.items() if handler is not None}
    for number, handler in before.items():
        if handler is not signal.SIG_IGN:  # nohup stays nohup
            signal.signal(number, remember)
    try:
        yield lambda: received[0] if received else None
    finally:
        restore()
