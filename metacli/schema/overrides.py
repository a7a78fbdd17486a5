"""Settings that a call changes, as `KEY=VALUE` texts or as Python has them."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from typing import TypeAlias

from metacli.errors import UsageProblem

Setting: TypeAlias = "bool | int | float | str | Sequence[Setting] | Mapping[str, Setting] | None"
Overrides: TypeAlias = Sequence[str] | Mapping[str, Setting]
"""`["train.steps=5"]`, `{"train.steps": 5}` or `{"train": {"steps": 5}}`."""


def spelled(overrides: Overrides) -> tuple[str, ...]:
    """As the command line writes them: JSON, which is YAML, after the `=`.

    Raises:
        UsageProblem: a value that no recipe can hold.
    """
    if isinstance(overrides, str):
        return (overrides,)
    if not isinstance(overrides, Mapping):
        return tuple(overrides)
    return tuple(
        text
        for key, value in overrides.items()
        for text in (
            spelled({f"{key}.{inner}": one for inner, one in value.items()})
            if isinstance(value, Mapping)
            else (f"{key}={_json(key, value)}",)
        )
    )


def _json(key: str, value: Setting) -> str:
    if isinstance(value, float) and not math.isfinite(value):
        raise UsageProblem(f"{key} is {value}; wanted a finite number")
    try:
        return json.dumps(value, allow_nan=False)
    except (TypeError, ValueError):
        raise UsageProblem(
            f"{key} is a {type(value).__name__}, which no recipe can hold",
            hint="numbers, texts, truth values, None and lists of them",
        ) from None
