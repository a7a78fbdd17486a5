"""The base of every result: a frozen dataclass that reads like the JSON document it becomes.

`result.mean` is typed; `result["mean"]`, `{**result}` and `json.dumps(result)` read the same as
plain data, so that code written for dictionaries works.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import ClassVar, NoReturn, Protocol, TypeAlias, runtime_checkable

Json: TypeAlias = "bool | int | float | str | Sequence[Json] | Mapping[str, Json] | None"
"""Plain data. NaN and infinities are allowed here and become null when they are written."""


@runtime_checkable
class Plain(Protocol):
    """Whatever says itself what it is as plain data: a part of a result, a finding, an estimate."""

    def as_dict(self) -> Mapping[str, Json]: ...


Value: TypeAlias = "Json | Path | Plain | Sequence[Value] | Mapping[str, Value]"


def plain(value: Value) -> Json:
    """Results, paths and tuples as lists, dictionaries and text."""
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, Part):  # a Plain, too, but whether something is one takes longer to see
        return value.as_dict()
    if isinstance(value, Plain):
        return value.as_dict()
    if isinstance(value, Mapping):
        return {str(key): plain(one) for key, one in value.items()}
    return [plain(one) for one in value]


@dataclass(frozen=True)
class Part:
    """A block inside a result. Fields named in `optional` are left out where they are None."""

    optional: ClassVar[frozenset[str]] = frozenset()

    def as_dict(self) -> dict[str, Json]:
        """The fields as plain data, in their order."""
        found = {}
        for one in fields(self):
            value: Value = vars(self)[one.name]
            if value is not None or one.name not in self.optional:
                found[one.name] = plain(value)
        return found


@dataclass(frozen=True, eq=False)
class Result(Part, dict[str, Json]):
    """What a verb returns: typed attributes, and a dictionary of the same as plain data, which
    `json.dumps` takes. Neither can be changed.

    A field may not be called like a method of dictionaries.
    """

    def __post_init__(self) -> None:
        dict.__init__(self, self.as_dict())

    def __reduce__(self) -> tuple[type[Result], tuple[Value, ...]]:
        """Copies and pickles are made of the fields, not item by item."""
        return type(self), tuple(vars(self)[one.name] for one in fields(self))

    def _fixed(self, *_: Value, **__: Value) -> NoReturn:
        raise TypeError(f"{type(self).__name__} is frozen: as_dict() gives a dictionary to change")

    __setitem__ = __delitem__ = __ior__ = _fixed  # type: ignore[assignment]
    update = setdefault = pop = popitem = clear = _fixed  # type: ignore[assignment]
