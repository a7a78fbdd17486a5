"""How numbers, scores, durations and names from outside are spelled: on the command line and in
reports."""

from __future__ import annotations

import math
import unicodedata
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


def metric_name(metric: Any) -> str:
    """`MSE`, `explained variance`."""
    words = str(metric).removeprefix("val_").replace("_", " ")
    return words.upper() if words in ("mse", "rmse", "nmse", "auc") else words


def signed(metric: Any, value: Any) -> str:
    """A difference: `+3.1 points` of an accuracy, `-0.02` of anything else."""
    if value is None:
        return "-"
    return f"{100 * value:+.1f} points" if is_fraction(metric) else f"{value:+.3g}"
