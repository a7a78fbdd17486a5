"""What `adapt` returns: the task as it was read, how good the model is on examples that it was not
adapted on, and whether the source helps."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar, Literal, TypeAlias

from metacli.data.image_changes import Change
from metacli.engine.models.parts import Calibration, Rejection
from metacli.engine.results.base import Json, Part, Result
from metacli.engine.scoring.intervals import Comparison

Doubt = Literal["guessing", "hurts"]


@dataclass(frozen=True)
class TaskFacts(Part):
    """The user's task as it was read.

    Args:
        kind: images, text or table. type: classification or regression.
        support, query: examples.
        guessed: what was decided by looking, in words.
        skipped: files left out because they could not be read.
        duplicates: examples that are in support and query, or under two labels.
        target: the column to predict; None for images. unit: of a number to predict.
    """

    path: Path
    kind: str
    type: str
    labels: tuple[str, ...]
    support: int
    query: int
    guessed: tuple[str, ...]
    skipped: int
    duplicates: int
    target: str | None = None
    unit: str | None = None

    def as_dict(self) -> dict[str, Json]:
        found = super().as_dict()
        if self.target is None:
            del found["target"], found["unit"]
        return found


@dataclass(frozen=True)
class ClassScore(Part):
    """Accuracy with its 95 % interval.

    Args:
        balanced: the mean over classes of the share of their examples that are right.
        how: `kfold:K`, `holdout:SHARE` or `query`. times: how often each example was held out.
        confusion: counts[true][predicted].
    """

    optional: ClassVar[frozenset[str]] = frozenset({"confusion"})

    value: float
    low: float
    high: float
    n: int
    balanced: float
    macro_f1: float
    how: str
    times: int
    chance: float
    confusion: list[list[int]] | None = None
    metric: str = "accuracy"


@dataclass(frozen=True)
class RegressionScore(Part):
    """Mean absolute error in the user's unit with its 95 % interval; see `ClassScore`.

    Args:
        r2: the share of the variance that is explained; None where there is no variance.
    """

    value: float
    low: float | None
    high: float | None
    n: int
    rmse: float
    r2: float | None
    unit: str | None
    how: str
    times: int
    chance: None = None
    metric: str = "mae"


@dataclass(frozen=True)
class NoScore(Part):
    """Nothing could be held out, and why."""

    metric: str
    why: str | None
    chance: float | None
    value: None = None
    low: None = None
    high: None = None
    how: str = "none"


Score: TypeAlias = ClassScore | RegressionScore | NoScore


@dataclass(frozen=True)
class SimpleScore(Part):
    """What a simpler model reaches on the same held-out examples."""

    name: str
    value: float


@dataclass(frozen=True)
class Against(Part):
    """The model minus a simpler one, on the same held-out examples.

    Args:
        by_log_loss: how much lower its log loss is, in nats; None of numbers, and where the same
            examples were not held out in several folds.
    """

    baseline: SimpleScore
    found: Comparison
    by_log_loss: Comparison | None = None

    def as_dict(self) -> dict[str, Json]:
        told: dict[str, Json] = {"baseline": self.baseline.as_dict(), **self.found.as_dict()}
        if self.by_log_loss is not None:
            told["log_loss"] = self.by_log_loss.as_dict()
        return told


@dataclass(frozen=True)
class Transfer(Part):
    """Whether the source helps: against the best model that needs none, and against each.

    Args:
        best: None where nothing could be held out, or nothing was `compared`.
    """

    best: Against | None = None
    all: tuple[Against, ...] = ()
    compared: bool = True

    def as_dict(self) -> dict[str, Json]:
        every: list[Json] = [one.as_dict() for one in self.all]
        if self.best is not None:
            return {**self.best.as_dict(), "all": every}
        blank = {"baseline": None, "delta": None, "delta_ci95": None}
        verdict = "too_few_to_say" if self.compared else None
        return {**blank, "verdict": verdict, "detectable": None, "all": every}

    @property
    def none_helps(self) -> bool:
        """Whether the source is no better than what needs no source."""
        if self.best is None:
            return False
        found, surer = self.best.found, self.best.by_log_loss
        if surer is not None and surer.verdict == "helped":
            return found.verdict == "hurt"
        return found.delta <= 0 or found.verdict in ("hurt", "no_difference")


@dataclass(frozen=True)
class RankedSource(Part):
    """One of several sources and what the support says of it; higher is better.

    Args:
        score: on held-out examples, accuracy or minus the mean absolute error; None where none can
            be held out.
        logme: evidence of a linear model of its features.
        leep, nce: how well its own classes tell the target's; None where it has none.
    """

    model: Path
    score: float | None
    logme: float
    leep: float | None
    nce: float | None


@dataclass(frozen=True)
class TriedSource(Part):
    """A source on this machine under one head, its settings chosen inside every fold.

    Args:
        value: accuracy, or the mean absolute error, on held-out examples with its 95 % interval;
            None where none can be held out. The best of several is too good: the score of a choice
            is another.
        seconds: of processor time.
    """

    source: str
    method: str
    value: float | None
    low: float | None
    high: float | None
    seconds: float


@dataclass(frozen=True)
class ChosenSource(Part):
    """Which source was chosen, and what else there was.

    Args:
        tried: best first.
        left_out: those for which there was no time.
        seconds: of processor time, for all of it.
    """

    source: str
    method: str
    tried: tuple[TriedSource, ...]
    left_out: tuple[str, ...]
    seconds: float
    metric: str = "accuracy"


@dataclass(frozen=True)
class TriedInputs(Part):
    """Images after some changes, and the score of the source on them; see `TriedSource`."""

    changes: tuple[Change, ...]
    value: float | None
    low: float | None
    high: float | None


@dataclass(frozen=True)
class FittedInputs(Part):
    """How images were changed for the source.

    Args:
        changes: of `grey`, `contrast` and `invert`; () where they stay as they are.
        tried: in the order of the tries; left_out: those for which there was no time, in words.
    """

    changes: tuple[Change, ...]
    tried: tuple[TriedInputs, ...]
    left_out: tuple[str, ...]


@dataclass(frozen=True)
class BetterSource(Part):
    """What `adapt` would have chosen by itself, where that is better on the same held-out examples.

    Args:
        value: its accuracy or mean absolute error; found: the model minus it.
        command: what to type instead.
    """

    source: str
    method: str
    value: float
    found: Comparison
    command: str

    def as_dict(self) -> dict[str, Json]:
        first: dict[str, Json] = {"source": self.source, "method": self.method}
        return {**first, "value": self.value, **self.found.as_dict(), "command": self.command}


@dataclass(frozen=True, eq=False)
class Adaptation(Result):
    """One adapted model.

    Args:
        model: its folder; None after a dry run.
        source: `from` in JSON: what it was adapted from.
        options: of the transfer method, with what validation picked; {} without.
        sources: all of them, best first; () where one was named.
        onto: the model whose examples it was also adapted to, and how many were `added`.
        choice: how the source was chosen, where none was named.
        none_helps: of several sources, whether the best is no better than no source.
        doubts: what speaks against the model; None for nothing.
        inputs: how images were changed, where `fit_inputs` asked for it.
        better_source: what would have been chosen without a source, where that is better.
    """

    optional: ClassVar[frozenset[str]] = frozenset(
        {"onto", "added", "none_helps", "dry_run", "choice", "doubts", "inputs", "better_source"}
    )

    task: TaskFacts
    score: Score
    transfer: Transfer
    calibration: Calibration | None
    reject: Rejection | float | None
    source: Path
    method: str
    device: str
    model: Path | None = None
    options: Mapping[str, Json] = field(default_factory=dict)
    sources: tuple[RankedSource, ...] = ()
    onto: Path | None = None
    added: int | None = None
    none_helps: bool | None = None
    choice: ChosenSource | None = None
    doubts: tuple[Doubt, ...] | None = None
    inputs: FittedInputs | None = None
    better_source: BetterSource | None = None
    dry_run: bool | None = None

    def as_dict(self) -> dict[str, Json]:
        found = super().as_dict()
        found["from"] = found.pop("source")
        return found
