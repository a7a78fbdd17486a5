"""What this machine has, so that what a user types or a file claims is bounded before work
starts."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from metacli.errors import RunFailed

UNKNOWN = 8 * 2**30  # bytes, where the system does not say
GROUP = Path("/sys/fs/cgroup")
MEMORY = Path("/proc/meminfo")
SELF = Path("/proc/self/statm")


def available_memory() -> int:
    """Bytes that this process may still ask for: what the system can give, within the limits of its
    control group and of `ulimit -v`."""
    bounds = [one for one in (_of_system(), _of_group(), _of_limit()) if one is not None]
    return max(0, min(bounds, default=UNKNOWN))


def require_memory(need: int, what: str, hint: str) -> None:
    """Raises RunFailed where `what` takes more memory than there is, before it is begun."""
    free = available_memory()
    if need > free:
        raise RunFailed(
            f"{what} takes {size(need)} of memory or more, and {size(free)} are free",
            code="run.out_of_memory",
            hint=hint,
        )


def size(count: int) -> str:
    """Bytes for a person: `1.5 GB`."""
    for unit, name in ((10**15, "PB"), (10**12, "TB"), (10**9, "GB"), (10**6, "MB")):
        if count >= unit:
            return f"{count / unit:.1f} {name}"
    return f"{count / 1e3:.1f} kB"


def _of_system() -> int | None:
    with suppress(OSError, ValueError):
        for line in MEMORY.read_text().splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    with suppress(OSError, ValueError, AttributeError):
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return None


def _of_group() -> int | None:
    with suppress(OSError, ValueError):
        most = (GROUP / "memory.max").read_text().strip()
        if most != "max":
            return int(most) - int((GROUP / "memory.current").read_text())
    return None


def _of_limit() -> int | None:
    try:
        import resource  # not on Windows
    except ImportError:
        return None
    soft, _ = resource.getrlimit(resource.RLIMIT_AS)
    if soft == resource.RLIM_INFINITY:
        return None
    with suppress(OSError, ValueError):
        pages = int(SELF.read_text().split()[0])
        return soft - pages * os.sysconf("SC_PAGE_SIZE")
    return soft


def is_out_of_memory(error: BaseException) -> bool:
    """Whether memory ran out: torch has a class for it on a GPU, and only words on a CPU."""
    words = ("can't allocate memory", "not enough memory", "Unable to allocate")
    named = isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError"
    return named or any(word in str(error) for word in words)
