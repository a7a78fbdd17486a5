"""Plain values, as JSON and YAML hold them, and reading them with their type checked.

What a model's own files say of its data comes back as such values; whoever reads them names the
type that is wanted, so that a damaged file is one ValueError and not a wrong number later.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

Plain = None | bool | int | float | str | Sequence["Plain"] | Mapping[str, "Plain"]
Record = Mapping[str, Plain]


def text_in(value: Record, key: str) -> str:
    """Raises ValueError: missing, or no text."""
    found = value.get(key)
    if not isinstance(found, str):
        raise _wrong(key, found, "text")
    return found


def text_or_none_in(value: Record, key: str) -> str | None:
    """As `text_in`; a missing key is None."""
    return None if value.get(key) is None else text_in(value, key)


def whole_in(value: Record, key: str, default: int | None = None) -> int:
    """Raises ValueError: no whole number, or missing where there is no default."""
    found = value.get(key, default)
    if isinstance(found, bool) or not isinstance(found, int):
        raise _wrong(key, found, "a whole number")
    return found


def whole_or_none_in(value: Record, key: str) -> int | None:
    """As `whole_in`; a missing key is None."""
    return None if value.get(key) is None else whole_in(value, key)


def number_in(value: Record, key: str) -> float:
    """Raises ValueError: missing, or no finite number."""
    found = value.get(key)
    if isinstance(found, bool) or not isinstance(found, int | float) or not math.isfinite(found):
        raise _wrong(key, found, "a finite number")
    return float(found)


def flag_in(value: Record, key: str, default: bool = False) -> bool:
    """Raises ValueError: neither true nor false."""
    found = value.get(key, default)
    if not isinstance(found, bool):
        raise _wrong(key, found, "true or false")
    return found


def items_in(value: Record, key: str) -> Sequence[Plain]:
    """Raises ValueError: missing, or no list."""
    found = value.get(key)
    if isinstance(found, str) or not isinstance(found, Sequence):
        raise _wrong(key, found, "a list")
    return found


def texts_in(value: Record, key: str) -> tuple[str, ...]:
    """Raises ValueError: no list of texts."""
    found = items_in(value, key)
    words = tuple(one for one in found if isinstance(one, str))
    if len(words) != len(found):
        raise _wrong(key, found, "a list of texts")
    return words


def numbers_in(value: Record, key: str) -> tuple[float, ...]:
    """Raises ValueError: no list of finite numbers."""
    return tuple(number_in({key: one}, key) for one in items_in(value, key))


def span_in(value: Record, key: str) -> tuple[int, int]:
    """Raises ValueError: no list of two whole numbers."""
    found = items_in(value, key)
    if len(found) != 2:
        raise _wrong(key, found, "two whole numbers")
    low, high = (whole_in({key: one}, key) for one in found)
    return low, high


def record_in(value: Record, key: str) -> Record:
    """A missing key is an empty object. Raises ValueError: something else."""
    found = value.get(key)
    if found is not None and not isinstance(found, Mapping):
        raise _wrong(key, found, "an object")
    return found or {}


def records_in(value: Record, key: str) -> tuple[Record, ...]:
    """Raises ValueError: no list of objects."""
    found = items_in(value, key)
    records = tuple(one for one in found if isinstance(one, Mapping))
    if len(records) != len(found):
        raise _wrong(key, found, "a list of objects")
    return records


def _wrong(key: str, found: Plain, wanted: str) -> ValueError:
    return ValueError(f"{key} is {str(found)[:60]!r}, wanted {wanted}")
