"""What `doctor` returns."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal

from metacli.engine.results.base import Part, Result
from metacli.errors import Finding


@dataclass(frozen=True)
class Device(Part):
    """A device after a forward and a backward pass on it.

    Args:
        error: what went wrong; None where it agrees with the CPU.
        model: what it is called, of a GPU.
        free_bytes: memory that this process may still take; bytes: of a GPU, all of it.
    """

    optional: ClassVar[frozenset[str]] = frozenset({"model", "free_bytes", "bytes"})

    name: str
    ok: bool
    seconds: float
    error: str | None
    model: str | None = None
    free_bytes: int | None = None
    bytes: int | None = None


@dataclass(frozen=True)
class Extra(Part):
    """An optional group of packages: installed, or with the line that installs it."""

    optional: ClassVar[frozenset[str]] = frozenset({"version", "missing", "install"})

    present: bool
    version: str | None = None
    missing: str | None = None
    install: str | None = None


@dataclass(frozen=True)
class Cache(Part):
    """Where data sets are kept, None where that is not known, and how large it is."""

    path: str | None
    bytes: int | None
    writable: bool


@dataclass(frozen=True, eq=False)
class DoctorResult(Result):
    """What this machine can do."""

    versions: Mapping[str, str]
    devices: tuple[Device, ...]
    extras: Mapping[str, Extra]
    cache: Cache
    problems: tuple[Finding, ...]
    verdict: Literal["ready", "not ready"]
