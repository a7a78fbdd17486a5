"""What `evaluate` measures a few-shot model under: split, way, shot, query and which episodes."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from metacli.engine.adapting.any_way import any_way_hint
from metacli.engine.models.model import FewShotModel
from metacli.errors import DataError, UsageProblem

Range = int | tuple[int, int]


@dataclass(frozen=True)
class Protocol:
    """What is measured: split, way, shot, query and the episodes' own seed."""

    split: str
    way: Range
    shot: Range
    query: int
    balanced: bool
    episodes: int
    seed: int


def protocols(
    model: FewShotModel,
    split: str | None,
    way: str | int | None,
    shot: str | int | None,
    query: int | None,
    episodes: int,
    seed: int | None,
    expect: bool,
) -> list[Protocol]:
    """One per shot of a curve. What is not given comes from `expect` (when asked for) or the
    recipe."""
    recipe = model.recipe
    wanted: dict[str, Any] = {}
    if expect:
        if recipe.expect is None:
            raise UsageProblem(
                "this model's recipe expects nothing",
                hint="--fail-under accuracy=0.9 checks a bound",
            )
        wanted = {k: v for k, v in recipe.expect.model_dump().items() if v is not None}
        episodes = wanted["episodes"]
    ways = (
        parse_range(way, "--way") or wanted.get("way") or recipe.evaluate.way or recipe.episodes.way
    )
    shots: list[tuple[Range, bool]]
    if shot is not None and "," in str(shot):
        shots = [(parse_range(part, "--shot"), True) for part in str(shot).split(",")]  # type: ignore[misc]
    elif shot is not None:
        one = parse_range(shot, "--shot")
        shots = [(one, isinstance(one, int))]  # type: ignore[list-item]
    else:
        default = wanted.get("shot") or recipe.evaluate.shot or recipe.episodes.shot
        shots = [(default, isinstance(default, int) or recipe.episodes.balanced)]
    per_class = query or wanted.get("query") or recipe.evaluate.query or recipe.episodes.query
    require_way(model, ways)
    name = split or wanted.get("split", "test")
    return [Protocol(name, ways, k, per_class, even, episodes, seed or 0) for k, even in shots]


def parse_range(text: str | int | None, option: str) -> Range | None:
    """`5` or `3-20`. Raises UsageProblem."""
    if text is None or isinstance(text, int):
        return text
    match = re.fullmatch(r"\s*(\d+)(?:\s*-\s*(\d+))?\s*", text)
    low = int(match[1]) if match else 0
    high = int(match[2]) if match and match[2] else low
    if not 1 <= low <= high:
        raise UsageProblem(f"{option} wants a number or a range such as 3-20, found {text!r}")
    return low if low == high else (low, high)


def require_way(model: FewShotModel, way: Range) -> None:
    """Raises DataError when a fixed head meets another number of classes."""
    if model.kind == "regression" or model.learner().any_way or way == model.way:
        return
    raise DataError(
        f"{model.recipe.algorithm.name} with a head of {model.way} classes was asked for {way}",
        code="model.fixed_way",
        hint=any_way_hint(),
    )
