"""What a run remembers from checkpoint to checkpoint, besides its tensors."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from metacli.engine.results.base import Json
from metacli.engine.storage.disk import damaged

Score = dict[str, int | float | None]  # mean, ci95, n, as `Estimate.as_dict` writes them
Step = Annotated[int, Field(ge=0)]


class Remembered(BaseModel):
    """Nothing is converted, nothing changes after it is made; keys of other versions are left."""

    model_config = ConfigDict(frozen=True, strict=True, extra="ignore")


class Window(Remembered):
    """Training metrics since the last line of the journal: their sums over `count` steps."""

    sums: dict[str, float | None] = Field(default_factory=dict)
    count: Step = 0


class CurvePoint(Remembered):
    """The validation of each task after a step; None where it is not finite."""

    step: Step
    values: list[float | None]


class History(Remembered):
    """Where a run stands.

    Args:
        step: of the newest checkpoint. seconds: of training until then.
        validated: the step of the newest validation, whose score is `last`.
        best_mean: of the best validation, at `best_step`; its score is `best`.
        waited: validations since then. warned: the run has said that it gets worse.
        curves: of a multi-task run, one point for each validation.
    """

    step: Step = 0
    seconds: Annotated[float, Field(ge=0)] = 0.0
    window: Window = Window()
    validated: Step = 0
    last: Score | None = None
    best_mean: float | None = None
    best_step: Step | None = None
    best: Score | None = None
    waited: Step = 0
    warned: bool = False
    curves: list[CurvePoint] = Field(default_factory=list)

    @classmethod
    def of(cls, facts: Mapping[str, Json], path: Path) -> History:
        """From a checkpoint. Raises BundleError where it is not what a run writes."""
        try:
            return cls.model_validate(dict(facts))
        except ValidationError as error:
            key = ".".join(map(str, error.errors()[0]["loc"]))
            raise damaged(path, f"is not what a run remembers: {key}") from None

    def as_dict(self) -> dict[str, Json]:
        """What a checkpoint keeps of it."""
        return self.model_dump(exclude_defaults=True)
