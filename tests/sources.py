"""The files of the package as syntax trees, each parsed once in a process: many tests read all."""

from __future__ import annotations

import ast
from functools import cache
from pathlib import Path


def tree_of(path: Path) -> ast.Module:
    """Of a file as it is now. The tree is shared: look, do not change it."""
    status = path.stat()
    return _parsed(path, status.st_mtime_ns, status.st_size)


@cache
def _parsed(path: Path, changed: int, size: int) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))
