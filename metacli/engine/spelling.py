"""How numbers, scores, durations and names from outside are spelled: on the command line and in
reports."""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Sequence
from datetime import UTC, datetime

Scalar = bool | int | float | str | None
WRITTEN_OUT = 1e9  # values below it are written without a power of ten


def visible(text: object) -> str:
    """Text from outside with control characters, bidi marks and odd bytes shown as escapes."""
    return "".join(char if _is_shown(char) else _escape(char) for char in str(text))


def _is_shown(char: str) -> bool:
    return char.isprintable() or unicodedata.category(char) == "Zs"


def _escape(char: str) -> str:
    if 0xDC80 <= ord(char) <= 0xDCFF:  # a byte of a file name that is not UTF-8
        return f"\\x{ord(char) - 0xDC00:02x}"
    return char.encode("unicode_escape").decode("ascii")


def number(value: Scalar, digits: int = 4) -> str:
    """A number as a person reads it; `-` for none and not-a-number."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return "-"
    if isinstance(value, bool | int | str):
        return visible(value)
    return _digits(value, digits)


def _digits(value: float, digits: int, sign: str = "") -> str:
    """To so many significant digits; large values are written out to the unit, not as powers of
    ten."""
    if 10**digits <= abs(value) < WRITTEN_OUT:
        return f"{value:{sign}.0f}"
    return f"{value:{sign}.{digits}g}"


def score(metric: str | None, mean: float | None, ci95: float | None = None) -> str:
    """`98.4 % ± 0.2` for an accuracy, `0.341 ± 0.012` for anything else."""
    if mean is None or (isinstance(mean, float) and not math.isfinite(mean)):
        return "-"
    if is_fraction(metric):
        half = f" ± {100 * ci95:.2f}" if ci95 is not None and math.isfinite(ci95) else ""
        return f"{100 * mean:.2f} %{half}"
    half = f" ± {_digits(ci95, 2)}" if ci95 is not None and math.isfinite(ci95) else ""
    return f"{number(mean)}{half}"


def is_fraction(metric: str | None) -> bool:
    return bool(metric) and "accuracy" in str(metric)


def duration(seconds: float) -> str:
    """`4 s`, `3 min 20 s`, `1 h 5 min`."""
    whole = max(0, round(seconds))
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def size(count: float | None) -> str:
    """Bytes in decimal units: `12.3 MB`."""
    if count is None:
        return "-"
    for unit, scale in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if count >= scale:
            return f"{count / scale:.1f} {unit}"
    return f"{int(count)} B"


def metric_name(metric: str | None) -> str:
    """`MSE`, `explained variance`, `Δp`."""
    words = str(metric).removeprefix("val_").replace("delta_p", "Δp").replace("_", " ")
    return words.upper() if words in ("mse", "rmse", "nmse", "mae", "auc") else words


def signed(metric: str | None, value: float | None) -> str:
    """A difference: `+3.1 points` of an accuracy, `-0.02` of anything else."""
    if value is None:
        return "-"
    return f"{100 * value:+.1f} points" if is_fraction(metric) else _digits(value, 3, "+")


def ends_words(metric: str | None, ends: Sequence[float | None]) -> str | None:
    """`-1.0 points to +3.1 points`; None where one task or seed alone leaves no interval."""
    if not all(end is not None and math.isfinite(end) for end in ends):
        return None
    return " to ".join(signed(metric, end) for end in ends)


VERDICTS = {
    "helped": "better",
    "hurt": "worse",
    "no_difference": "no clear difference",
    "too_few_to_say": "too few to say",
}


def verdict_words(
    verdict: str | None, metric: str | None = None, smallest: float | None = None
) -> str:
    """`better`, `worse`, or `no clear difference (smaller than 2.1 points could not be detected)`.

    Args:
        smallest: `detectable` of the comparison.
    """
    words = VERDICTS.get(str(verdict), visible(verdict or ""))
    if verdict != "no_difference" or smallest is None or not math.isfinite(smallest):
        return words
    return f"{words} (smaller than {magnitude(metric, smallest)} could not be detected)"


def magnitude(metric: str | None, value: float) -> str:
    """The size of a difference: `3.1 points` of an accuracy, `0.02` of anything else."""
    return f"{100 * abs(value):.1f} points" if is_fraction(metric) else _digits(abs(value), 2)


def date(stamp: str) -> str:
    """`2026-11-28T13:01:04+00:00` as `28 November 2026, 13:01 UTC`; what is no time, as it is."""
    try:
        when = datetime.fromisoformat(stamp)
    except ValueError:
        return visible(stamp)
    if when.tzinfo is not None:
        when = when.astimezone(UTC)
    zone = "" if when.tzinfo is None else " UTC"
    return f"{when.day} {MONTHS[when.month - 1]} {when.year}, {when:%H:%M}{zone}"


MONTHS = (
    *("January", "February", "March", "April", "May", "June", "July"),
    *("August", "September", "October", "November", "December"),
)


def typed(**given: str | bool | None) -> list[str]:
    """Options as they were given, for a command to type next: `target="y", skip_bad=True` are
    `--target y --skip-bad`."""
    found: list[str] = []
    for key, value in given.items():
        if value:
            found += [f"--{key.replace('_', '-')}", *([value] if isinstance(value, str) else [])]
    return found
