"""A step that would take longer than a signal or a time limit allows is dropped.

A step is a pure function of the state before it, so nothing is lost but its own time. A thread
looks at the clock; `SIGURG`, which nothing else uses and which is harmless where nobody listens,
makes the main thread raise `StepDropped` at its next operation of Python, also where it waits for
workers. One operation may take minutes by itself (a backward pass, a compiled gradient), and then
nothing in Python runs in the main thread: the state is saved by the watching thread, and the
process of a command line ends (`leave`).
"""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType, TracebackType
from typing import Self

from metacli.errors import MetacliError

GRACE = 5.0  # seconds that a step may still take
STUCK = 3.0  # seconds after which a main thread that was asked to raise is in a single operation
TICK = 0.1
LOUD = signal.Signals.__members__.get("SIGURG")  # not on Windows, where a step is waited for

Leave = Callable[[MetacliError], None]
leaving: list[Leave] = []
"""What ends the process of a command line; empty in a library, whose process is not ours."""


class StepDropped(BaseException):
    """Raised inside a step. Not an Exception, as what a step calls may catch those."""


@dataclass
class Section:
    """Work that may be dropped.

    Args:
        rescue: called from another thread where the work cannot be interrupted.
        timed: also where the time is over, not only after a signal.
    """

    rescue: Callable[[], None] | None
    timed: bool
    dropped: bool = False
    rescued: bool = False


class Dropping:
    """Watches sections while the block runs.

    Args:
        stopped: whether a signal came. over: whether the time is over.
    """

    def __init__(self, stopped: Callable[[], bool], over: Callable[[], bool]) -> None:
        self._stopped, self._over = stopped, over
        self._section: Section | None = None
        self._lock, self._ended = threading.Lock(), threading.Event()
        self._main = threading.main_thread()
        self._works = LOUD is not None and threading.current_thread() is self._main

    def __enter__(self) -> Self:
        if self._works and LOUD is not None:
            self._before = signal.signal(LOUD, self._raise)
            threading.Thread(target=self._watch, name="dropping", daemon=True).start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        self._ended.set()
        if self._works and LOUD is not None:
            signal.signal(LOUD, self._before if self._before is not None else signal.SIG_DFL)

    @contextmanager
    def section(
        self, rescue: Callable[[], None] | None = None, *, timed: bool = True
    ) -> Iterator[None]:
        """Work that raises StepDropped where it would take longer than is allowed."""
        self._section = Section(rescue, timed)
        try:
            yield
        finally:
            self._section = None
            with self._lock:  # a rescue that has begun is waited for
                pass

    def _raise(self, number: int, frame: FrameType | None) -> None:
        if self._section is not None and self._section.dropped:
            raise StepDropped

    def _watch(self) -> None:
        since: float | None = None
        while not self._ended.wait(TICK):
            section = self._section
            if section is None or not (self._stopped() or (section.timed and self._over())):
                since = None if section is not None else since
                continue
            now = time.monotonic()
            since = now if since is None else since
            if now - since > GRACE and not section.dropped and LOUD is not None:
                section.dropped = True
                signal.pthread_kill(self._main.ident or 0, LOUD)
            if now - since > GRACE + STUCK and not section.rescued:
                section.rescued = True
                self._rescue(section)

    def _rescue(self, section: Section) -> None:
        with self._lock:
            if self._section is section and section.rescue is not None:
                section.rescue()
