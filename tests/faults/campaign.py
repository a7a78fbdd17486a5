"""Runs a reader over many variants of its files, and counts how each of them ended."""

from __future__ import annotations

import contextlib
import os
import random
import resource
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from metacli.engine.machine import is_out_of_memory
from metacli.errors import MetacliError

SLOW = 5.0  # seconds of processor time for one file
ROOM = 6 * 2**30  # bytes that a reader may ask for beyond what the process has
Mutate = Callable[[Any, random.Random], Any]


@dataclass(frozen=True)
class Door:
    """A reader: what it is given, how that is spoilt, and how it is read *and used*.

    Args:
        read: takes one variant; raises MetacliError where it refuses it, and nothing else.
    """

    seeds: tuple[Any, ...]
    mutate: Mutate
    read: Callable[[Any], None]


@dataclass
class Tally:
    """How the variants ended.

    Args:
        uncaught: neither read nor refused. slow: took more than `SLOW`.
        examples: the first few of those, each with its number, so that it can be made again.
    """

    mutants: int = 0
    read: int = 0
    refused: int = 0
    uncaught: int = 0
    slow: int = 0
    examples: list[str] = field(default_factory=list)
    kinds: Counter[str] = field(default_factory=Counter)
    seconds: float = 0.0

    def bad(self, kind: str, number: int, what: str) -> None:
        self.kinds[f"{kind}: {what.splitlines()[-1][:160]}"] += 1
        if len(self.examples) < 400:
            self.examples.append(f"{kind} #{number}: {what}")

    def as_dict(self) -> dict[str, Any]:
        names = ("mutants", "read", "refused", "uncaught", "slow")
        return {name: getattr(self, name) for name in names} | {"cpu_s": round(self.seconds, 1)}


def tried(door: Door, count: int, seed: int = 0, first: int = 0) -> Tally:
    """`count` variants from the `first`-th on; each is drawn from its own number."""
    tally = Tally()
    begin = time.process_time()
    with limited_memory(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for number in range(first, first + count):
            draw = random.Random(f"{seed}/{number}")
            variant = door.mutate(door.seeds[number % len(door.seeds)], draw)
            one(door, variant, number, tally)
    tally.seconds = time.process_time() - begin
    return tally


def one(door: Door, variant: Any, number: int, tally: Tally) -> None:
    tally.mutants += 1
    began = time.process_time()
    try:
        door.read(variant)
        tally.read += 1
    except MetacliError as error:
        tally.refused += 1
        if error.exit_code == 1:
            tally.uncaught += 1
            tally.bad("exit 1", number, error.message or "?")
    except Exception as error:  # noqa: BLE001  # to be counted
        if is_out_of_memory(error):  # the command line says so and exits 7
            tally.refused += 1
        else:
            tally.uncaught += 1
            tally.bad("uncaught", number, traceback.format_exc(limit=-3))
    if time.process_time() - began > SLOW:
        tally.slow += 1
        tally.bad("slow", number, f"{time.process_time() - began:.1f} s")


@contextlib.contextmanager
def limited_memory(room: int = ROOM) -> Iterator[None]:
    """A claim of terabytes is a MemoryError here, and not the end of the machine."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[0])
    except OSError:
        yield
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (pages * os.sysconf("SC_PAGE_SIZE") + room, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))
