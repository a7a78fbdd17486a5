"""How many threads torch computes with, which decides the order of sums and so the last bits.

`torch.set_num_threads` sets two numbers: that of the thread which calls it, and one of the whole
process. A thread's *first* operation, or its first `torch.get_num_threads()`, takes the number of
the process at that moment, whatever was set in that thread before. So a thread is made to take it
before its own number is set, and whoever changes the number for a while puts it back.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import cache, partial
from threading import Barrier
from typing import TypeVar

import torch
from threadpoolctl import ThreadpoolController

WITH_THREADS = ("numpy", "scipy.linalg", "sklearn", "onnxruntime")
Given = TypeVar("Given")
Result = TypeVar("Result")


@contextmanager
def computing_with(threads: int) -> Iterator[None]:
    """Inside, operations of this thread use so many threads; afterwards as many as before, also
    where an error ends the block."""
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@contextmanager
def one_thread() -> Iterator[None]:
    """Small systems of equations on one thread, NumPy's too: others would wait for each other,
    awake."""
    loaded = tuple(name in sys.modules for name in WITH_THREADS)
    with computing_with(1), _controller(loaded).limit(limits=1):
        yield


@cache
def _controller(loaded: tuple[bool, ...]) -> ThreadpoolController:
    """To find every library in memory takes 14 ms, so it is done once, and again where one of
    those that bring threads of their own was loaded since."""
    return ThreadpoolController()


def on_workers(
    fn: Callable[[Given], Result], values: Iterable[Given], workers: int
) -> Iterator[Result]:
    """fn of every value, in order; as many at a time as there are workers, each of which computes
    on one thread whatever number is set elsewhere."""
    return _workers(workers).map(partial(_alone, fn), values)


def lane(workers: int, name: str) -> ThreadPoolExecutor:
    """Threads for a caller that never computes itself, such as an event loop; each computes on one
    thread."""
    pool = ThreadPoolExecutor(workers, name, initializer=_take_one_thread)
    # All of them start now: each has set the number of the process too, which is put back.
    ready, threads = Barrier(workers, timeout=60), torch.get_num_threads()
    for one in [pool.submit(ready.wait) for _ in range(workers)]:
        one.result()
    torch.set_num_threads(threads)
    return pool


def _alone(fn: Callable[[Given], Result], value: Given) -> Result:
    # A number that code of a task has set would change the bits of the tasks after it.
    if torch.get_num_threads() != 1:
        torch.set_num_threads(1)
    return fn(value)


def _take_one_thread() -> None:
    torch.get_num_threads()  # takes the number of the process, once and for all
    torch.set_num_threads(1)


@cache
def _workers(workers: int) -> ThreadPoolExecutor:
    return lane(workers, "tasks")


if hasattr(os, "register_at_fork"):  # a forked process has none of the threads
    os.register_at_fork(after_in_child=_workers.cache_clear)
