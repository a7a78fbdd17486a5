"""A line of a score file as a schema: whoever wrote it, what is read from it holds these.

Keys that this version does not know are kept, as a later version may have added them.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, JsonValue

Number = Annotated[float, Field(allow_inf_nan=False)] | None
Count = Annotated[int, Field(ge=0)]
Span = Count | str | list[Count] | None
Ends = Annotated[list[Number], Field(min_length=2, max_length=2)] | None


class Part(BaseModel):
    model_config = ConfigDict(frozen=True, strict=True, extra="allow", allow_inf_nan=False)


class Mean(Part):
    mean: Number = None
    ci95: Number = None
    delta: Number = None
    delta_ci95: Ends = None
    verdict: str | None = None


class StepMean(Mean):
    step: Count


class ShotMean(Mean):
    shot: Count


class TaskScore(Part):
    name: str
    metric: str | None = None
    value: Number = None
    single_task: Number = None
    delta: Number = None
    delta_ci95: Ends = None
    verdict: str | None = None


class Measured(Part):
    """The result that `evaluate` gave, as far as it is shown again."""

    metric: str | None = None
    mean: Number = None
    ci95: Number = None
    low: Number = None
    high: Number = None
    chance: Number = None
    rmse: Number = None
    r2: Number = None
    coverage: Number = None
    log_loss: Number = None
    macro_f1: Number = None
    balanced_accuracy: Number = None
    split: str | None = None
    scheme: str | None = None
    unit: str | None = None
    way: Span = None
    shot: Span = None
    query: Span = None
    episodes: Count | None = None
    inductive: Mean | None = None
    transductive: Mean | None = None
    baselines: dict[str, Mean] | None = None
    per_step: list[StepMean] | None = None
    curve: list[ShotMean] | None = None
    tasks: list[TaskScore] | None = None
    labels: list[str] | None = None
    confusion: list[list[Count]] | None = None


class ScoreLine(Part):
    """One evaluation; `values` has one for each unit, null where it was not finite."""

    model: str | None = None
    units: str | None = None
    metric: str | None = None
    mode: str | None = None
    values: list[Number] | None = None
    unit: str | None = None
    data_digest: str | None = None
    split: str | None = None
    way: Span = None
    shot: Span = None
    query: Span = None
    balanced: bool | None = None
    episodes: Count | None = None
    seed: int | None = None
    recipe: str | None = None
    run_seed: int | None = None
    result: Measured | None = None

    # what else a line holds is plain data
    __pydantic_extra__: dict[str, JsonValue] = Field(init=False)
