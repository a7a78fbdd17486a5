"""What `predict` returns: a row for each input, in the order given."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import ClassVar, Generic, Protocol, TypeVar

from metacli.engine.models.parts import Calibration, Rejection
from metacli.engine.results.base import Json, Part, Result
from metacli.errors import DataError

NOT_FINITE = "predict.not_finite"


@dataclass(frozen=True)
class RowError(Part):
    """Why an input has no prediction."""

    code: str
    message: str


@dataclass(frozen=True)
class Prediction(Part):
    """One input.

    Args:
        input: its file, its row (`scores.csv:7`), or its place among arrays (`[3]`).
        prediction: a label, a number in the user's unit, or None beside an `error`.
        probabilities: of each label; None for a number.
        low, high: the interval of a number; None where too few examples were held out for one.
    """

    input: str
    prediction: str | float | None = None
    probabilities: Mapping[str, float] | None = None
    low: float | None = None
    high: float | None = None
    error: RowError | None = None

    def called(self, name: str) -> Prediction:
        """The same prediction for the input of that name."""
        return replace(self, input=name)


@dataclass(frozen=True)
class TaskPrediction(Prediction):
    """One input of a multi-task model, answered for one of its `task`s."""

    task: str | None = None

    def as_dict(self) -> dict[str, Json]:
        found = super().as_dict()
        return {"input": found.pop("input"), "task": found.pop("task"), **found}


class Answered(Protocol):
    """A row of whatever kind."""

    @property
    def input(self) -> str: ...

    @property
    def error(self) -> RowError | None: ...

    def as_dict(self) -> Mapping[str, Json]: ...


Row = TypeVar("Row", bound=Answered)


@dataclass(frozen=True, eq=False)
class Rows(Result, Generic[Row]):
    """Every row, those with an error, too; `reject` is the limit that was asked for."""

    rows: tuple[Row, ...]
    reject: Rejection | float | None = None

    def require_all(self) -> None:
        """Raises DataError where an input could not be answered; its result holds every row."""
        bad = [one for one in self.rows if one.error is not None]
        if not bad:
            return
        first = bad[0].error
        assert first is not None
        raise DataError(
            f"{len(bad)} of {len(self.rows)} inputs could not be answered, the first: "
            f"{first.message}",
            code=NOT_FINITE if first.code == NOT_FINITE else "predict.unreadable",
            where=bad[0].input,
            result=self,
        )


@dataclass(frozen=True, eq=False)
class Predictions(Rows[Prediction]):
    """Of an adapted model.

    Args:
        labels: class names in the order of the outputs; () of a regression.
        target, unit: of a regression.
        coverage: the share of held-out examples that lay inside `low` to `high`.
        together: whether the inputs had a part in each other's answers.
    """

    optional: ClassVar[frozenset[str]] = frozenset({"together"})

    labels: tuple[str, ...] = ()
    calibration: Calibration | None = None
    target: str | None = None
    unit: str | None = None
    coverage: float | None = None
    together: bool | None = None


@dataclass(frozen=True, eq=False)
class TaskPredictions(Rows[TaskPrediction]):
    """Of a multi-task model, which has these `tasks`; `coverage` as of `Predictions`."""

    tasks: tuple[str, ...] = ()
    coverage: float | None = None
