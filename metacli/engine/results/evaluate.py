"""What `evaluate` returns: on episodes, on the tasks of a multi-task model, or on labelled
examples. The keys that all three have mean the same."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar, TypeAlias

from metacli.engine.results.base import Json, Part, Result
from metacli.engine.scoring.intervals import Comparison, Estimate

Span: TypeAlias = int | tuple[int, int]
Matrix: TypeAlias = "list[list[int]]"


@dataclass(frozen=True)
class Step(Part):
    """The score after so many adaptation steps."""

    step: int
    score: Estimate

    def as_dict(self) -> dict[str, Json]:
        return {"step": self.step, **self.score.as_dict()}


@dataclass(frozen=True)
class CurvePoint(Part):
    """The score with so many examples of each class."""

    shot: Span
    mean: float | None
    ci95: float | None


@dataclass(frozen=True)
class Baseline(Part):
    """A simpler method's score, and how the model compares on the same units.

    Args:
        units: what the interval of the difference is over; None where it is that of the score.
    """

    score: Estimate
    per_step: tuple[Step, ...] = ()
    against: Comparison | None = None
    units: int | None = None

    def as_dict(self) -> dict[str, Json]:
        found: dict[str, Json] = {**self.score.as_dict()}
        if self.per_step:
            found["per_step"] = [one.as_dict() for one in self.per_step]
        if self.against is not None:
            found |= self.against.as_dict()
        if self.units is not None:
            found["units"] = self.units
        return found


@dataclass(frozen=True)
class Expected(Part):
    """The recipe's band, and whether the score lies in it."""

    min: float | None
    max: float | None
    value: float
    passed: bool


@dataclass(frozen=True, eq=False)
class Evaluation(Result):
    """What every evaluation says.

    Args:
        metric: what `mean` is: accuracy, mse, mae, auc, ...
        ci95: half-width of the 95 % interval of `mean`.
        scores: the score file that holds a value for each unit.
    """

    optional: ClassVar[frozenset[str]] = frozenset({"inductive", "scores", "dry_run"})

    metric: str
    mean: float | None = None
    ci95: float | None = None
    data: str | None = None
    split: str | None = None
    data_digest: str | None = None
    query: int | None = None
    inductive: Estimate | None = None
    transductive: Estimate | None = None
    statistics: str | None = None
    chance: float | None = None
    baselines: Mapping[str, Baseline] = field(default_factory=dict)
    per_step: tuple[Step, ...] = ()
    curve: tuple[CurvePoint, ...] = ()
    expect: Expected | None = None
    scores: Path | None = None
    dry_run: bool | None = None


@dataclass(frozen=True, eq=False)
class EpisodeEvaluation(Evaluation):
    """A few-shot model on episodes of classes that training never saw.

    Args:
        adaptation_steps: of the inner loop; None for learners without.
        train_seed: of the run that made the model.
    """

    way: Span | None = None
    shot: Span | None = None
    episodes: int = 0
    episodes_seed: int = 0
    scheme: str | None = None
    rotations: str | None = None
    balanced: bool = True
    adaptation_steps: int | None = None
    train_seed: int | None = None
    tasks: tuple[str, ...] = ()  # none: a key that multi-task results share


@dataclass(frozen=True)
class TaskScore(Part):
    """One task of a multi-task model, and the same network trained on it alone.

    Args:
        p_adjusted: for all tasks together (Benjamini and Hochberg).
    """

    optional: ClassVar[frozenset[str]] = frozenset({"p_adjusted"})

    name: str
    metric: str
    value: float
    single_task: float | None = None
    delta: float | None = None
    delta_ci95: tuple[float, float] | None = None
    p_adjusted: float | None = None
    verdict: str | None = None
    detectable: float | None = None


@dataclass(frozen=True)
class MeanDelta(Part):
    """What learning together is worth on the mean over the tasks; `over` says in words what the
    interval is over."""

    mean_delta: float | None = None
    mean_delta_ci95: tuple[float, float] | None = None
    mean_delta_over: str | None = None


@dataclass(frozen=True, eq=False)
class MultiTaskEvaluation(Evaluation):
    """A multi-task model on rows that its training left out, or on a user's own rows.

    Args:
        rows: that the score is over.
        within_tasks: explained variance of what varies inside the tasks.
        mean_task_r2: mean over tasks of each task's own R².
        plot: the differences to the single-task models, as a file.
    """

    optional: ClassVar[frozenset[str]] = Evaluation.optional | {
        *("rows", "within_tasks", "mean_task_r2"),
    }

    split_seed: int | None = None
    num_tasks: int = 0
    rows: int | None = None
    within_tasks: float | None = None
    mean_task_r2: float | None = None
    tasks: tuple[TaskScore, ...] = ()
    together: MeanDelta = field(default_factory=MeanDelta)
    plot: Path | None = None
    episodes: None = None
    episodes_seed: None = None
    scheme: None = None
    way: None = None
    shot: None = None

    def as_dict(self) -> dict[str, Json]:
        found = super().as_dict()
        del found["together"]
        return {**found, **self.together.as_dict()}


@dataclass(frozen=True, eq=False)
class ExampleEvaluation(Evaluation):
    """An adapted model on labelled examples. `mean` is an accuracy, or a mean absolute error in the
    target's own unit.

    Args:
        low: of the interval, which is not symmetric.
        coverage: of a regression, the share of the rows within the intervals that `predict` gives,
            which are made to hold the share `level`.
        confusion: [N, N] counts: rows are the true classes, columns the predicted ones.
    """

    low: float | None = None
    high: float | None = None
    balanced_accuracy: float | None = None
    macro_f1: float | None = None
    log_loss: float | None = None
    rmse: float | None = None
    r2: float | None = None
    unit: str | None = None
    coverage: float | None = None
    level: float | None = None
    way: int | None = None
    labels: tuple[str, ...] = ()
    confusion: Matrix | None = None
    tasks: tuple[str, ...] = ()
    episodes: None = None
    episodes_seed: None = None
    scheme: None = None
    shot: None = None
