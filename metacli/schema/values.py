"""Single values of a recipe: what is a range, a list of names, a plain value, and how a wrong one
is reported. No torch here."""

from __future__ import annotations

import math
from typing import Annotated, Literal

from pydantic import Field, JsonValue, PlainSerializer, PlainValidator
from pydantic_core import PydanticCustomError

VERSION = 1

Count = Annotated[int, Field(ge=1, le=2**53)]
Range = int | tuple[int, int]
Group = tuple[str, ...]
_PLAIN = (bool, int, float, str)


def largest(span: Range) -> int:
    """The only number, or the last of a range."""
    return span if isinstance(span, int) else span[1]


def wrong(message: str) -> PydanticCustomError:
    """An error whose message reads on after the key: `must be ...`."""
    return PydanticCustomError("recipe_value", "{message}", {"message": message})


def _is_count(value: object) -> bool:
    return type(value) is int and 1 <= value <= 2**53


def _range(value: object) -> Range:
    if type(value) is int:
        if _is_count(value):
            return value
        raise wrong("must be 1 or more")
    if isinstance(value, list | tuple) and len(value) == 2 and all(map(_is_count, value)):
        low, high = value
        if low <= high:
            return (low, high)
        raise wrong("must go from low to high")
    raise wrong("must be a whole number, or [low, high] with 1 <= low <= high")


def _plain_value(value: object) -> JsonValue:
    if isinstance(value, float) and not math.isfinite(value):
        raise wrong("must be a finite number")
    # Of a subclass, such as numpy's float64, the writer of YAML knows nothing.
    if value is None or (isinstance(value, bool | int | float | str) and type(value) in _PLAIN):
        return value
    if isinstance(value, list | tuple):
        return [_plain_value(item) for item in value]
    raise wrong("must be a number, text, true, false, null or a list")


def _version(value: object) -> int:
    if type(value) is int and value > VERSION:
        raise wrong(f"is of a newer metacli: this one reads recipe version {VERSION}")
    if type(value) is not int or value != VERSION:
        raise wrong(f"must be {VERSION}")
    return value


def _names(value: object) -> tuple[str, ...]:
    if not isinstance(value, list | tuple) or not all(isinstance(item, str) for item in value):
        raise wrong("must be a list of names")
    return tuple(value)


def _groups(value: object) -> Literal["auto"] | tuple[Group, ...] | None:
    if value is None:
        return None
    if value == "auto":
        return "auto"
    if isinstance(value, list | tuple) and value:
        return tuple(_names(group) for group in value)
    raise wrong("must be null, auto, or a list of lists of task names")


_as_list = PlainSerializer(lambda value: list(value) if isinstance(value, tuple) else value)
Version = Annotated[int, PlainValidator(_version)]
Shape = Annotated[Range, PlainValidator(_range), _as_list]
OptionalShape = Annotated[
    Range | None, PlainValidator(lambda v: None if v is None else _range(v)), _as_list
]
Options = dict[str, Annotated[JsonValue, PlainValidator(_plain_value)]]
Names = Annotated[tuple[str, ...], PlainValidator(_names), _as_list]
Groups = Annotated[
    Literal["auto"] | tuple[Group, ...] | None,
    PlainValidator(_groups),
    PlainSerializer(lambda v: [list(group) for group in v] if isinstance(v, tuple) else v),
]
