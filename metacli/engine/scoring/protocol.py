"""What `evaluate` measures a few-shot model under: split, way, shot, query and which episodes."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from metacli.data.catalogue.registry import DATASETS
from metacli.data.few_shot.pools import ALL
from metacli.engine.adapting.any_way import any_way_hint
from metacli.engine.models.model import FewShotModel
from metacli.engine.scoring.request import EpisodeOptions
from metacli.errors import DataError, UsageProblem
from metacli.schema.blocks import Evaluate, Expect
from metacli.schema.few_shot import Episodes, FewShotRecipe

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


def protocols(model: FewShotModel, asked: EpisodeOptions) -> list[Protocol]:
    """One per shot of a curve. What is not given comes from `expect` (when asked for) or the
    recipe.

    Raises:
        UsageProblem: no numbers, or nothing is expected.
        DataError: another number of classes than the model's head has.
    """
    recipe = model.recipe
    if asked.expect and recipe.expect is None:
        raise UsageProblem(
            "this model's recipe expects nothing",
            hint="--fail-under accuracy=0.9 checks a bound",
        )
    band = recipe.expect if asked.expect else None
    usual = (recipe.evaluate, recipe.episodes)
    blocks: tuple[Expect | Evaluate | Episodes, ...] = usual if band is None else (band, *usual)
    way = parse_range(asked.way, "--way") or first(one.way for one in blocks)
    query = asked.query or next(one.query for one in blocks if one.query is not None)
    require_way(model, way)
    if asked.split == ALL and recipe.data.source in DATASETS:
        message = "--split all takes every class of your own folder or table"
        raise UsageProblem(message, hint="--split train, val or test for a data set by name")
    split = asked.split or ("test" if band is None else band.split)
    episodes = asked.episodes if band is None else band.episodes
    shots = shots_of(asked.shot) or [default_shot(first(one.shot for one in blocks), recipe)]
    seed = asked.seed or 0
    return [Protocol(split, way, shot, query, even, episodes, seed) for shot, even in shots]


Shot = tuple[Range, bool]
"""Examples of each class, and whether all classes of an episode have the same number."""


def shots_of(text: str | int | None) -> list[Shot]:
    """`1`, `1,2,5`, or `1-10`, where each class draws its own. Raises UsageProblem."""
    if text is None:
        return []
    if "," not in str(text):
        one = parse_range(text, "--shot")
        return [] if one is None else [(one, isinstance(one, int))]
    parts = [parse_range(part, "--shot") for part in str(text).split(",")]
    return [(part, True) for part in parts if part is not None]


def first(values: Iterable[Range | None]) -> Range:
    """The first that is given."""
    return next(value for value in values if value is not None)


def default_shot(shot: Range, recipe: FewShotRecipe) -> Shot:
    """The recipe's."""
    return shot, isinstance(shot, int) or recipe.episodes.balanced


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
