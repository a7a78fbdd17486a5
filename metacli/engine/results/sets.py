"""What `adapt` and `evaluate` return of models of sets."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

from metacli.engine.results.base import Json, Part, Result
from metacli.engine.results.evaluate import Evaluation, MultiTaskEvaluation
from metacli.engine.scoring.intervals import Estimate, Verdict


@dataclass(frozen=True)
class SetFacts(Part):
    """The user's set as it was read.

    Args:
        labels: none: the tasks are regressions. layout: columns, rows or folder.
        inputs: columns of x. support: labels in all.
    """

    path: Path
    layout: str
    inputs: tuple[str, ...]
    support: int
    type: str = "regression"
    labels: tuple[str, ...] = ()
    query: int = 0
    guessed: tuple[str, ...] = ()


@dataclass(frozen=True)
class SetScore(Part):
    """Mean absolute error over the tasks; None where nothing could be held out.

    Args:
        alone: of the same model adapted to each task by itself. delta: over all held-out rows of
            all tasks, joint minus alone, paired; the verdict is on it.
    """

    value: float | None
    n: int
    how: str
    metric: str = "mae"
    alone: float | None = None
    delta: float | None = None
    delta_ci95: tuple[float, float] | None = None
    verdict: Verdict = "too_few_to_say"


@dataclass(frozen=True)
class SetTaskScore(Part):
    """One task of a set.

    Args:
        value: mean absolute error of joint adaptation on held-out rows; `alone`: of the same model
            adapted to this task's labels only. delta: value minus alone, paired over rows.
        joint: whether the adapted model answers from the labels of all tasks.
    """

    name: str
    labels: int
    value: float | None
    alone: float | None
    delta: float | None
    delta_ci95: tuple[float, float] | None
    verdict: Verdict
    joint: bool
    metric: str = "mae"


@dataclass(frozen=True)
class SetCoupling(Part):
    """How much tasks tell about each other: `matrix[t][s]` is what `what` says."""

    tasks: tuple[str, ...]
    matrix: tuple[tuple[float, ...], ...]
    what: str


@dataclass(frozen=True, eq=False)
class SetAdaptation(Result):
    """A model of sets adapted to one set.

    Args:
        model: the new model's folder; None of a dry run. source: `from` in the JSON document.
        added: of `--add`, the tasks that joined or got more rows.
    """

    optional: ClassVar[frozenset[str]] = frozenset({"added", "dry_run"})

    model: Path | None
    source: Path
    task: SetFacts
    score: SetScore
    tasks: tuple[SetTaskScore, ...]
    coupling: SetCoupling
    guard: bool
    device: str
    method: str = "native"
    added: tuple[str, ...] | None = None
    dry_run: bool | None = None

    def as_dict(self) -> dict[str, Json]:
        found = super().as_dict()
        return {"model": found.pop("model"), "from": found.pop("source"), **found}


@dataclass(frozen=True)
class Arm(Part):
    """One way of answering the sets: error, mean log-likelihood of a query, and the share of
    queries inside the central 90 % interval; None of an arm that gives no distribution."""

    mse: Estimate
    log_likelihood: Estimate | None
    coverage90: float | None


@dataclass(frozen=True)
class ComparedArm(Part):
    """An arm that joint adaptation is compared with, on the sets that both were measured on.

    Args:
        joint: the mean error of joint adaptation on these sets. delta: joint minus this arm, with a
            paired 95 % interval over sets; the verdict is on joint.
        settings: what was chosen for the arm on validation sets.
    """

    mse: Estimate
    log_likelihood: Estimate | None
    coverage90: float | None
    joint: float
    delta: float
    delta_ci95: tuple[float, float]
    verdict: Verdict
    settings: Mapping[str, float]


@dataclass(frozen=True)
class NamedTaskScore(Part):
    """One of the named tasks over the sets that have it: the errors of joint and separate
    adaptation. `verdict` allows for the number of tasks (Bonferroni)."""

    name: str
    sets: int
    joint: float
    separate: float
    delta: float
    delta_ci95: tuple[float, float]
    verdict: Verdict


@dataclass(frozen=True)
class PairScore(Part):
    """How well the coupling tells related from unrelated pairs of tasks.

    Args:
        auc: area under the ROC curve over all pairs. within: mean over sets of that among the pairs
            of a set, with its 95 % interval. what: the strength of a pair.
    """

    auc: float
    within: Estimate
    pairs: int
    related: int
    sets: int
    what: str


@dataclass(frozen=True)
class SetCell(Part):
    """Joint and separate adaptation on the same sets, and the other arms.

    Args:
        points: support points of a set. tasks: seen at a time, of those that the set has.
        delta: the error of joint minus that of separate, with a paired 95 % interval over sets.
        arms: the arms that joint adaptation is compared with. by_task: where tasks have names.
        coupling: where the source knows relations, and has related and unrelated pairs.
    """

    optional: ClassVar[frozenset[str]] = frozenset({"coupling"})

    points: int
    tasks: int
    sets: int
    joint: Arm
    separate: Arm
    delta: float
    delta_ci95: tuple[float, float]
    verdict: Verdict
    arms: Mapping[str, ComparedArm] = field(default_factory=dict)
    by_task: tuple[NamedTaskScore, ...] = ()
    coupling: PairScore | None = None


@dataclass(frozen=True)
class ClassArm(Part):
    """One way of answering sets of classifications: the share of queries whose class is right, and
    the mean log-likelihood of all queries; the mean squared error of scaled values where there are
    regressions; the mean area under the ROC curve where one of two classes is looked for."""

    optional: ClassVar[frozenset[str]] = frozenset({"accuracy", "mse", "auc"})

    accuracy: Estimate | None
    log_likelihood: Estimate
    mse: Estimate | None = None
    auc: Estimate | None = None

    def of(self, metric: str) -> Estimate:
        """The estimate of one metric."""
        found = {"accuracy": self.accuracy, "mse": self.mse, "auc": self.auc}.get(metric)
        return self.log_likelihood if found is None else found


@dataclass(frozen=True)
class ComparedClassArm(Part):
    """An arm that joint adaptation is compared with, on the sets that both were measured on.

    Args:
        score: by the metric of the cell. log_likelihood: None of an arm without probabilities.
        joint: the mean score of joint adaptation on these sets. delta: joint minus this arm, with a
            paired 95 % interval over sets; the verdict is on joint.
        settings: what was chosen for the arm on validation sets.
    """

    score: Estimate
    log_likelihood: Estimate | None
    sets: int
    joint: float
    delta: float
    delta_ci95: tuple[float, float]
    verdict: Verdict
    settings: Mapping[str, float]


@dataclass(frozen=True)
class ClassCell(Part):
    """Joint and separate adaptation on the same sets of classifications, and the other arms.

    Args:
        way: classes of a task. shot: examples of each. points: support rows of a task, where tasks
        are of unequal classes. tasks: of a set.
        delta: the score of joint minus that of separate, with a paired 95 % interval over sets.
        arms: the arms that are trained, where the run has tuned them.
    """

    optional: ClassVar[frozenset[str]] = frozenset({"way", "shot", "points", "arms"})

    way: int | None
    shot: int | None
    points: int | None
    tasks: int
    sets: int
    metric: str
    joint: ClassArm
    separate: ClassArm
    delta: float
    delta_ci95: tuple[float, float]
    verdict: Verdict
    arms: Mapping[str, ComparedClassArm] | None = None


@dataclass(frozen=True, eq=False)
class SetEvaluation(Evaluation):
    """A learner of sets on fresh sets; `mean` is the error of joint adaptation in the first cell.

    Args:
        episodes: sets. variant: how the tasks of a set are related.
        cells: of sets of regressions. class_cells: of sets of classifications.
    """

    optional: ClassVar[frozenset[str]] = frozenset({*Evaluation.optional, "class_cells"})

    variant: str = ""
    episodes: int = 0
    episodes_seed: int = 0
    train_seed: int = 0
    cells: tuple[SetCell, ...] = ()
    class_cells: tuple[ClassCell, ...] | None = None
    tasks: tuple[str, ...] = ()  # none: a key that multi-task results share


@dataclass(frozen=True, eq=False)
class SetRowsEvaluation(MultiTaskEvaluation):
    """A model adapted to a set on labelled rows of its tasks; `single_task` of a task is the same
    model adapted to that task alone.

    Args:
        coverage90: the share of rows that lie in their 90 % interval.
    """

    coverage90: float | None = None
