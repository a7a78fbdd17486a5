"""What a model remembers beside its weights, as named parts. On disk they are the keys of `answers`
in `model.json`; a part that is not there has no keys."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from metacli.data.plain import Record, text_in, text_or_none_in, texts_in
from metacli.engine.models.document import (
    AnswersPart,
    CalibrationPart,
    RejectPart,
    SpanPart,
)
from metacli.engine.results.base import Json, Part
from metacli.errors import BundleError


@dataclass(frozen=True)
class Calibration(Part):
    """The temperature that held-out examples ask for, and their log loss with and without it."""

    temperature: float
    examples: int | None = None
    log_loss: float | None = None
    log_loss_before: float | None = None

    @classmethod
    def of(cls, part: CalibrationPart) -> Calibration:
        return cls(part.temperature, part.examples, part.log_loss, part.log_loss_before)


@dataclass(frozen=True)
class Rejection(Part):
    """An input whose largest logit is below `logit` is none of the classes: a limit that the share
    `known` of the held-out examples reach."""

    logit: float
    known: float | None = None
    examples: int | None = None

    @classmethod
    def of(cls, part: RejectPart) -> Rejection:
        return cls(part.logit, part.known, part.examples)


@dataclass(frozen=True)
class Residual(Part):
    """How far the share `coverage` of the held-out predictions of a regression were off at most, in
    the user's units."""

    residual: float
    coverage: float | None = None


@dataclass(frozen=True, eq=False)
class Span:
    """The lowest and highest of each number of the examples that a model was adapted to, float64
    [F] each, as the network sees them: what lies outside is a guess."""

    low: np.ndarray
    high: np.ndarray

    @classmethod
    def of(cls, x: np.ndarray) -> Span:
        """Of examples [M, F]."""
        return cls(x.min(0).astype(np.float64), x.max(0).astype(np.float64))

    def as_dict(self) -> dict[str, Json]:
        return {"low": self.low.tolist(), "high": self.high.tolist()}

    @classmethod
    def of_part(cls, part: SpanPart) -> Span:
        return cls(np.array(part.low, np.float64), np.array(part.high, np.float64))


@dataclass(frozen=True)
class Confidence:
    """What held-out examples of the support say of later predictions; None is too few of them.

    Args:
        reject: a limit; in models of the first versions a probability.
        span: of the examples; None for images, texts and models of before.
    """

    calibration: Calibration | None = None
    reject: Rejection | float | None = None
    residual: Residual | None = None
    span: Span | None = None

    @property
    def temperature(self) -> float:
        """What logits are divided by before they become probabilities."""
        return 1.0 if self.calibration is None else self.calibration.temperature

    def as_dict(self) -> dict[str, Json]:
        known: dict[str, Json] = {}
        if self.reject is not None:
            limit = self.reject
            known["reject"] = limit.as_dict() if isinstance(limit, Rejection) else limit
        if self.calibration is not None:
            known["calibration"] = self.calibration.as_dict()
        if self.span is not None:
            known["span"] = self.span.as_dict()
        return known if self.residual is None else {**known, **self.residual.as_dict()}

    @classmethod
    def of(cls, answers: AnswersPart) -> Confidence:
        limit, error = answers.reject, answers.residual
        return cls(
            None if answers.calibration is None else Calibration.of(answers.calibration),
            Rejection.of(limit) if isinstance(limit, RejectPart) else limit,
            None if error is None else Residual(error, answers.coverage),
            None if answers.span is None else Span.of_part(answers.span),
        )


UNKNOWN = Confidence()


@dataclass(frozen=True)
class Columns:
    """What the columns were called that a model was adapted to; all None for images.

    Args:
        input: of the texts. unit: of the target.
    """

    target: str | None = None
    input: str | None = None
    unit: str | None = None

    def as_dict(self) -> dict[str, Json]:
        named = {"target": self.target, "input": self.input} if self.target else {}
        return {**named, **({"unit": self.unit} if self.unit else {})}

    @classmethod
    def of(cls, answers: AnswersPart) -> Columns:
        return cls(answers.target, answers.input, answers.unit)


NO_COLUMNS = Columns()


@dataclass(frozen=True)
class TaskHeads:
    """The tasks that a multi-task model answers for.

    Args:
        kinds: of each, `classification` or `regression`.
        metric: that the model is judged by.
        labels: of each task, in the order of its outputs; () of a model that is older than them.
        read: how rows become numbers: an encoding, and what the columns of task and targets were
            called.
        guard: for each task `together` or `alone`, the network that answers; () where only one is.
        trainings: how often its networks were trained, from seeds of their own: their mean answers.
        spread: of each regression, by its number: the size that 95 % of its errors stay below, told
            from validation rows; None where it was not measured.
    """

    tasks: tuple[str, ...]
    kinds: tuple[str, ...]
    metric: str
    labels: tuple[tuple[str, ...], ...] = ()
    read: Record = field(default_factory=dict)
    guard: tuple[str, ...] = ()
    spread: Mapping[str, float] | None = None
    trainings: int = 1

    def regresses(self, task: int) -> bool:
        return self.kinds[task] == "regression"

    @property
    def cells(self) -> Record:
        """How the cells of a row become numbers. Raises BundleError."""
        if "columns" not in self.read:
            raise BundleError(
                "this model was made before models recorded their columns, so it reads no table",
                code="model.no_columns",
                hint="train it again: metacli multitask RECIPE",
            )
        return self.read

    @property
    def task_column(self) -> str | None:
        """The column that names the task of a row."""
        return text_or_none_in(self.read, "task")

    @property
    def targets(self) -> tuple[str, ...]:
        """The column of each task; () where the data did not say."""
        return texts_in(self.read, "targets") if self.read.get("targets") else ()

    @property
    def text_column(self) -> str:
        """The column of the texts of a model of texts."""
        return text_in(self.read, "column")

    def as_dict(self) -> dict[str, Json]:
        return {
            "tasks": list(self.tasks),
            "kinds": list(self.kinds),
            "metric": self.metric,
            "labels": [list(one) for one in self.labels],
            "read": dict(self.read),
            **({"guard": list(self.guard)} if self.guard else {}),
            **({} if self.spread is None else {"spread": dict(self.spread)}),
            **({} if self.trainings == 1 else {"trainings": self.trainings}),
        }

    @classmethod
    def of(cls, answers: AnswersPart) -> TaskHeads:
        """Raises ValueError: no metric."""
        if answers.metric is None:
            raise ValueError("the metric of the tasks is not given")
        return cls(
            answers.tasks,
            answers.kinds,
            answers.metric,
            answers.labels,
            answers.read,
            answers.guard,
            answers.spread,
            answers.trainings,
        )
