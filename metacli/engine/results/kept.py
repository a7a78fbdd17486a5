"""What a run, or a part of several runs, keeps of a comparison, read again."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, JsonValue

from metacli.engine.results.train import Comparison

Kept = dict[str, int | float | None]  # a score as it is written


class KeptComparison(BaseModel):
    """The file of a `Comparison`. Its own type: pydantic has no schema of the recursive `Json`
    of results, and would only say so when the file is read."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    tasks: tuple[dict[str, JsonValue], ...] = ()
    mean_delta: float | None = None
    mean_delta_ci95: tuple[float | None, float | None] | None = None
    mean_delta_over: str | None = None
    baselines: dict[str, Kept] = {}
    metrics: dict[str, Kept] | None = None
    relatedness: dict[str, JsonValue] | None = None

    def comparison(self) -> Comparison:
        return Comparison(
            tasks=self.tasks,
            mean_delta=self.mean_delta,
            mean_delta_ci95=self.mean_delta_ci95,
            mean_delta_over=self.mean_delta_over,
            baselines=self.baselines,
            metrics=self.metrics,
            relatedness=self.relatedness,
        )
