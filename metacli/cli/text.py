"""Words for people: numbers, durations, tables, and names from outside made safe to show."""

from __future__ import annotations

import math
import os
import re
import shlex
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any


def visible(text: object) -> str:
    """Text from outside with control characters, bidi marks and odd bytes shown as escapes."""
    return "".join(char if _is_shown(char) else _escape(char) for char in str(text))


def _is_shown(char: str) -> bool:
    return char.isprintable() or unicodedata.category(char) == "Zs"


def _escape(char: str) -> str:
    if 0xDC80 <= ord(char) <= 0xDCFF:  # a byte of a file name that is not UTF-8
        return f"\\x{ord(char) - 0xDC00:02x}"
    return char.encode("unicode_escape").decode("ascii")


def number(value: Any, digits: int = 4) -> str:
    """A number as a person reads it; `-` for none and not-a-number."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return "-"
    if isinstance(value, bool | int | str):
        return visible(value)
    return f"{value:.{digits}g}"


def score(metric: str | None, mean: Any, ci95: Any = None) -> str:
    """`98.4 % ± 0.2` for an accuracy, `0.341 ± 0.012` for anything else."""
    if mean is None or (isinstance(mean, float) and not math.isfinite(mean)):
        return "-"
    if is_fraction(metric):
        half = f" ± {100 * ci95:.2f}" if _finite(ci95) else ""
        return f"{100 * mean:.2f} %{half}"
    half = f" ± {ci95:.2g}" if _finite(ci95) else ""
    return f"{number(mean)}{half}"


def is_fraction(metric: str | None) -> bool:
    return bool(metric) and "accuracy" in str(metric)


def _finite(value: Any) -> bool:
    return isinstance(value, int | float) and math.isfinite(value)


def duration(seconds: float) -> str:
    """`4 s`, `3 min 20 s`, `1 h 5 min`."""
    whole = max(0, round(seconds))
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def size(count: Any) -> str:
    """Bytes in decimal units: `12.3 MB`."""
    if not isinstance(count, int | float):
        return "-"
    for unit, scale in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if count >= scale:
            return f"{count / scale:.1f} {unit}"
    return f"{int(count)} B"


def path(value: Any) -> str:
    """A path relative to where the user stands when it lies below, else as it is."""
    if not value:
        return "-"
    try:
        return visible(Path(value).relative_to(Path.cwd()))
    except (ValueError, OSError):
        return visible(value)


def command(*words: object) -> str:
    """A command line that can be pasted; names below the current folder are shortened."""
    shown = (path(word) if isinstance(word, Path) else visible(word) for word in words)
    return " ".join(["metacli", *(_quoted(word) for word in shown)])


def _quoted(word: str) -> str:
    placeholder = re.fullmatch(r"[A-Z_]+(\.\.\.)?|@last", word)
    return word if placeholder else shlex.quote(word)


def next_line(result: Mapping[str, Any], *words: object) -> list[str]:
    """The command to type next; none after a dry run, whose paths do not exist."""
    return [] if result.get("dry_run") else [f"next: {command(*words)}"]


def fields(rows: Iterable[tuple[str, Any]]) -> list[str]:
    """`name  value` lines with the values in one column; rows without a value are left out."""
    kept = [(name, str(value)) for name, value in rows if value not in (None, "")]
    width = max((len(name) for name, _ in kept), default=0)
    return [f"{name:<{width}}  {value}".rstrip() for name, value in kept]


def table(header: Sequence[str], rows: Iterable[Sequence[Any]]) -> list[str]:
    """Columns two spaces apart, numbers to the right, columns that are all empty left out."""
    body = [[cell if isinstance(cell, str) else number(cell) for cell in row] for row in rows]
    keep = [i for i in range(len(header)) if any(row[i] not in ("", "-") for row in body)]
    if not body or not keep:
        return []
    lines = [[header[i] for i in keep], *([row[i] for i in keep] for row in body)]
    widths = [max(len(line[i]) for line in lines) for i in range(len(keep))]
    right = [all(_numeric(line[i]) for line in lines[1:]) for i in range(len(keep))]
    return ["  ".join(map(_aligned, line, widths, right)).rstrip() for line in lines]


def _numeric(cell: str) -> bool:
    return not cell or cell == "-" or cell[0].isdigit() or (cell[0] in "+-." and len(cell) > 1)


def _aligned(cell: str, width: int, right: bool) -> str:
    return cell.rjust(width) if right else cell.ljust(width)


def plain(result: Mapping[str, Any]) -> list[str]:
    """Any result as `key  value` lines: for dry runs and for keys that no view knows."""
    return fields((visible(key).replace("_", " "), inline(value)) for key, value in result.items())


def inline(value: Any) -> str:
    """Any value on one line."""
    if isinstance(value, Mapping):
        return ", ".join(f"{visible(key)} {inline(item)}" for key, item in value.items())
    if isinstance(value, list | tuple):
        return ", ".join(inline(item) for item in value)
    if isinstance(value, str) and os.path.isabs(value):  # noqa: PTH117  # not every text is a path
        return path(value)
    return "" if value is None else number(value)
