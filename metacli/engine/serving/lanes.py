"""Work of requests on threads of its own: bounded in number, in waiting and in time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import Future
from typing import TypeVar

from metacli.engine.serving.refusals import Refused
from metacli.threads import lane

Result = TypeVar("Result")


class Lane:
    """Some threads and the requests that wait for them. Used from one event loop.

    Args:
        waiting: requests that were taken and are not done.
    """

    def __init__(self, name: str, workers: int, queue: int) -> None:
        self.name, self.waiting = name, 0
        self._most = workers + queue
        self._pool = lane(workers, name)

    async def do(self, fn: Callable[[], Result], seconds: float) -> Result:
        """What fn gives on one of the threads.

        Raises:
            Refused: too many wait (503), or it takes too long (504); what has not begun then does
                not begin any more.
        """
        if self.waiting >= self._most:
            raise Refused(
                503,
                f"{self.waiting} requests are waiting, at most {self._most}",
                code="serve.busy",
                where=self.name,
                hint="send it again in a second",
                after=1,
            )
        loop = asyncio.get_running_loop()
        self.waiting += 1
        work = self._pool.submit(fn)

        def done(_: Future[Result]) -> None:
            loop.call_soon_threadsafe(self._done)

        work.add_done_callback(done)
        try:
            async with asyncio.timeout(seconds):
                return await asyncio.wrap_future(work)
        except TimeoutError:
            raise Refused(
                504,
                f"no answer within {seconds:g} seconds",
                code="serve.too_slow",
                where=self.name,
                hint="send fewer or smaller inputs",
            ) from None

    def _done(self) -> None:
        self.waiting -= 1

    def close(self) -> None:
        """What runs is waited for, what waits is dropped."""
        self._pool.shutdown(wait=True, cancel_futures=True)
