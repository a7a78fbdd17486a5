"""What `meta-train` and `multitask` return."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar, Literal

from metacli.engine.results.base import Json, Part, Result

Status = Literal["finished", "interrupted", "failed", "planned"]
Limit = Literal["max_time", "patience"]
Score = Mapping[str, int | float | None]  # mean, ci95, n


@dataclass(frozen=True)
class Comparison(Part):
    """Each task of a multi-task run with what it was compared with; empty before it was.

    Args:
        tasks: one row for each: its score together, alone, and the difference.
        mean_delta: of those differences, with its interval and what it is over.
        baselines: the score of each simpler model on the same rows.
        metrics: of the guarded model, in the place of the run's own.
        relatedness: which tasks belong together, where that was measured.
    """

    tasks: tuple[Mapping[str, Json], ...] = ()
    mean_delta: float | None = None
    mean_delta_ci95: tuple[float | None, float | None] | None = None
    mean_delta_over: str | None = None
    baselines: Mapping[str, Score] = field(default_factory=dict)
    metrics: Mapping[str, Score] | None = None
    relatedness: Mapping[str, Json] | None = None

    def as_dict(self) -> dict[str, Json]:
        """What the run keeps of it."""
        found: dict[str, Json] = {
            "tasks": list(self.tasks),
            "mean_delta": self.mean_delta,
            "mean_delta_ci95": self.mean_delta_ci95 and list(self.mean_delta_ci95),
            "mean_delta_over": self.mean_delta_over,
            "baselines": self.baselines,
        }
        if self.metrics is not None:
            found["metrics"] = self.metrics
        return found


@dataclass(frozen=True)
class Estimated(Part):
    """What a training will take, from real steps on this machine.

    Args:
        memory_bytes: that the process had at most. minutes: of processor time, for all steps,
            without validation. step_seconds: of processor time.
        whole: whether a step was finished in the time that there is for measuring; otherwise the
            times are what it takes at least.
        program_seconds: of making the program that the first step makes, which is no part of the
            other times; None of a run without one.
    """

    optional: ClassVar[frozenset[str]] = frozenset({"program_seconds"})

    memory_bytes: int
    minutes: float
    step_seconds: float
    whole: bool
    program_seconds: float | None = None


@dataclass(frozen=True, eq=False)
class TrainResult(Result):
    """One run.

    Args:
        model: its folder; None while there is none.
        stopped_by: the limit that ended it before its `planned_steps`.
        metrics: the best validation, by `val_<metric>`.
        comparison: of a multi-task run.
        resume_command: None where nothing was written.
        plan: the resolved recipe, of a dry run; `estimate` what it would take.
    """

    run: Path
    model: Path | None
    status: Status
    steps: int
    metrics: Mapping[str, Score]
    best_step: int | None
    comparison: Comparison | None
    resume_command: str | None
    plan: str | None = None
    estimate: Estimated | None = None
    stopped_by: Limit | None = None
    planned_steps: int | None = None

    def as_dict(self) -> dict[str, Json]:
        """The `result` of the command line's JSON document."""
        found: dict[str, Json] = {
            "run": str(self.run),
            "model": None if self.model is None else str(self.model),
            "status": self.status,
            "steps": self.steps,
            "planned_steps": self.planned_steps,
            "stopped_by": self.stopped_by,
            "metrics": self.metrics,
            "best_step": self.best_step,
        }
        if self.comparison is not None:
            found |= {**self.comparison.as_dict(), "relatedness": self.comparison.relatedness}
        found["resume_command"] = self.resume_command
        if self.plan is not None:
            found |= {"dry_run": True, "recipe": self.plan}
        if self.estimate is not None:
            found["estimate"] = self.estimate.as_dict()
        return found


@dataclass(frozen=True, eq=False)
class SeedsResult(Result):
    """Several runs of one recipe, one for each seed, and the mean over them.

    Args:
        shard: which part of the seeds, `1/3`, where they are divided.
    """

    runs: tuple[TrainResult, ...]
    metrics: Mapping[str, Score]
    shard: str | None = None

    def as_dict(self) -> dict[str, Json]:
        """As the first run's, with the metrics over all."""
        return {
            **self.runs[0].as_dict(),
            "metrics": self.metrics,
            "runs": [one.as_dict() for one in self.runs],
            "seeds": len(self.runs),
            **({} if self.shard is None else {"shard": self.shard}),
        }
