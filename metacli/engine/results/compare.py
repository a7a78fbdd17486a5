"""What `compare` returns: each item, and every pair of them on the same units."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from metacli.engine.results.base import Json, Part, Result
from metacli.engine.results.evaluate import Span
from metacli.engine.scoring.intervals import Verdict


@dataclass(frozen=True)
class Units(Part):
    """What was measured."""

    split: str | None
    way: Span | None
    shot: Span | None
    query: int | None
    unit: str | None
    mode: str | None
    data_digest: str | None


@dataclass(frozen=True)
class Item(Part):
    """The score of a model, or of one recipe over several training seeds."""

    path: Path
    metric: str
    mean: float
    ci95: float
    n: int
    on: Units
    models: tuple[Path, ...]
    seeds: tuple[int | None, ...]

    def as_dict(self) -> dict[str, Json]:
        found = super().as_dict()
        del found["on"]
        return {**found, **self.on.as_dict()}


@dataclass(frozen=True)
class Pair(Part):
    """b minus a.

    Args:
        delta_ci95: of this pair alone; `p_adjusted` and `verdict` allow for all pairs.
        not_finite: units that are left out.
        about: `recipes` where both sides have several training seeds, otherwise `models`.
        detectable: the smallest true difference that would have been found 4 times in 5.
    """

    a: Path
    b: Path
    metric: str
    delta: float
    delta_ci95: tuple[float, float]
    p: float
    p_adjusted: float
    verdict: Verdict
    detectable: float | None
    n: int
    not_finite: int
    about: str
    on: Units

    def as_dict(self) -> dict[str, Json]:
        found = super().as_dict()
        del found["on"]
        return {**found, **self.on.as_dict()}


@dataclass(frozen=True, eq=False)
class CompareResult(Result):
    """Every model or recipe, and every pair of them, for each thing that all were measured on.

    Args:
        compared: `items` in the JSON document.
    """

    compared: tuple[Item, ...]
    pairs: tuple[Pair, ...]

    def as_dict(self) -> dict[str, Json]:
        found = super().as_dict()
        return {"items": found.pop("compared"), **found}
