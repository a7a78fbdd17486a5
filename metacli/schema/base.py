"""What recipes of every kind have in common."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import Field, model_validator

from metacli.schema.blocks import Block, Data, Evaluate, Expect, Train
from metacli.schema.values import VERSION, Names, Version, wrong

# How the keys of every kind are ordered where a recipe is written.
ORDER = (
    *("version", "kind", "seed", "data", "episodes", "sets", "backbone", "algorithm"),
    *("sharing", "weighting", "surgery", "guard", "groups", "relatedness"),
    *("train", "evaluate", "baselines", "expect"),
)


class BaseRecipe(Block):
    """One training run, written down. Each kind is a final child, and a line of `recipe.KINDS`."""

    version: Version = VERSION
    seed: int = Field(default=0, ge=0, lt=2**32)
    data: Data
    train: Train
    evaluate: Evaluate = Field(default_factory=Evaluate)
    baselines: Names = ()
    expect: Expect | None = None

    @model_validator(mode="before")
    @classmethod
    def _fits_its_kind(cls, value: object) -> object:
        if isinstance(value, Mapping):
            for key in ORDER:
                if key in value and key not in cls.model_fields:
                    raise wrong(f"of kind {value.get('kind')} does not take {key}")
        return value

    def plain(self) -> dict[str, Any]:
        """Every setting as plain dicts, lists and scalars, in the order of `ORDER`."""
        dumped = self.model_dump()
        return {key: dumped[key] for key in ORDER if key in dumped}
