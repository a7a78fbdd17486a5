"""Options of data sets and of a user's files: plain values checked against a frozen dataclass."""

from __future__ import annotations

import difflib
from dataclasses import Field, fields
from typing import Any, ClassVar, Protocol, TypeVar

from metacli.data.plain import Record
from metacli.errors import DataError


class Options(Protocol):
    """A frozen dataclass whose fields have defaults."""

    __dataclass_fields__: ClassVar[dict[str, Field[Any]]]


OptionsT = TypeVar("OptionsT", bound=Options)

_WORDS: dict[type, str] = {
    str: "text",
    int: "a number",
    float: "a number",
    bool: "true or false",
}


def check_options(name: str, of: type[OptionsT], options: Record) -> OptionsT:
    """An options dataclass from plain values; each default tells the type of its field.

    Raises:
        DataError: an unknown option, a value of the wrong type, or one that the dataclass refuses.
    """
    known, made = {one.name: one for one in fields(of)}, dict(options)
    for key, value in options.items():
        if key not in known:
            near = difflib.get_close_matches(key, known, n=1)
            hint = f"did you mean {near[0]}?" if near else f"options: {', '.join(known) or 'none'}"
            message = f"{name} has no option {key!r}"
            raise DataError(message, code="data.unknown_option", hint=hint)
        wanted = type(known[key].default)
        if wanted is float and type(value) is int:
            made[key] = float(value)
        elif type(value) is not wanted:
            raise DataError(
                f"{name}: {key} is {value!r}; wanted {_WORDS[wanted]}",
                code="data.option_type",
            )
    return of(**made)
