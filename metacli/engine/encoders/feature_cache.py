"""Features of images, computed once: kept by the content of the image and of the network.

One small file each: float32 numbers and a checksum, so that what is damaged is computed again. The
folder is bounded; what was written longest ago goes first.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import stat
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

FOLDER = "features"
LIMIT = 512 * 2**20  # bytes of all features
KEPT = 0.8  # of the limit, once it is passed
CHECK = 4  # bytes

Compute = Callable[[np.ndarray], np.ndarray]
"""Rows [m, ...] to features float32 [m, D]."""
Tell = Callable[[int, int], None]
"""(done, total) after each batch."""


class FeatureCache:
    """Features of one network in `folder`; None keeps nothing.

    Args:
        network: what the features depend on besides the image, such as a digest of the weights.
    """

    def __init__(self, folder: Path | None, network: str, limit: int = LIMIT) -> None:
        self.root = None if folder is None else folder / FOLDER
        self.network = hashlib.sha256(network.encode()).hexdigest()[:16]
        self.limit = limit

    def features(
        self, x: np.ndarray, width: int, compute: Compute, batch: int, tell: Tell
    ) -> np.ndarray:
        """float32 [M, D] of rows [M, ...]; only what is not known is computed, and equal rows
        once.

        Args:
            width: D. batch: rows given to `compute` at a time.
        """
        keys = [content_key(one) for one in x]
        read = {key: self.read(key, width) for key in set(keys)}
        found = {key: values for key, values in read.items() if values is not None}
        first = {key: row for row, key in reversed(list(enumerate(keys))) if key not in found}
        rows = sorted(first.values())
        done = len(keys) - len(rows)
        tell(done, len(keys))
        for part in batches(rows, batch):
            for row, values in zip(part, compute(x[part]), strict=True):
                found[keys[row]] = values
                self.write(keys[row], values)
            done += len(part)
            tell(done, len(keys))
        if rows and self.root is not None:
            bound(self.root, self.limit)
        return np.stack([found[key] for key in keys]) if keys else np.zeros((0, width), np.float32)

    def path(self, key: str) -> Path:
        assert self.root is not None
        return self.root / self.network / key[:2] / key[2:]

    def read(self, key: str, width: int) -> np.ndarray | None:
        """None: not there, or damaged."""
        if self.root is None:
            return None
        try:
            content = self.path(key).read_bytes()
        except OSError:
            return None
        values, check = content[:-CHECK], content[-CHECK:]
        if len(values) != 4 * width or zlib.crc32(values).to_bytes(CHECK, "little") != check:
            return None
        return np.frombuffer(values, "<f4").astype(np.float32)

    def write(self, key: str, values: np.ndarray) -> None:
        """Whole or not at all. A cache that cannot be written costs time, not the result."""
        if self.root is None:
            return
        path = self.path(key)
        content = np.ascontiguousarray(values, "<f4").tobytes()
        fresh = path.with_name(f"{path.name}.{os.getpid()}.new")
        with contextlib.suppress(OSError):
            path.parent.mkdir(parents=True, exist_ok=True)
            fresh.write_bytes(content + zlib.crc32(content).to_bytes(CHECK, "little"))
            fresh.replace(path)


def content_key(row: np.ndarray) -> str:
    """SHA-256 of the values, their type and their shape."""
    whole = hashlib.sha256(f"{row.dtype} {row.shape};".encode())
    whole.update(np.ascontiguousarray(row).data)
    return whole.hexdigest()


def batches(rows: Sequence[int], size: int) -> list[list[int]]:
    return [list(rows[first : first + size]) for first in range(0, len(rows), size)]


def bound(root: Path, limit: int) -> None:
    """Removes what was written longest ago until the files below `root` are well below `limit`."""
    files = []
    for path in root.rglob("*"):
        with contextlib.suppress(OSError):  # another process removed it
            status = path.stat()
            if stat.S_ISREG(status.st_mode):
                files.append((status.st_mtime_ns, status.st_size, path))
    total = sum(size for _, size, _ in files)
    if total <= limit:
        return
    for _, size, path in sorted(files):
        with contextlib.suppress(OSError):
            path.unlink()
        total -= size
        if total <= KEPT * limit:
            return
