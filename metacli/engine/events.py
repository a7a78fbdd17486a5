"""What the engine tells while it works. No torch here, so that the command line may import it at
once."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from metacli.errors import Finding


@dataclass(frozen=True)
class RunStarted:
    """A training run begins (or goes on, when `first_step` > 0)."""

    run: str
    recipe: str
    steps: int
    first_step: int = 0
    details: Mapping[str, Any] = field(
        default_factory=dict
    )  # data, backbone, parameters, device, execution


@dataclass(frozen=True)
class StepDone:
    """One outer step: 1-based `step` of `steps`, its metrics as plain floats."""

    step: int
    steps: int
    metrics: Mapping[str, float]


@dataclass(frozen=True)
class EvaluationDone:
    """A periodic validation: metric name -> {mean, ci95, n}."""

    step: int
    split: str
    metrics: Mapping[str, Mapping[str, float]]
    best: bool


@dataclass(frozen=True)
class CheckpointSaved:
    step: int
    path: str


@dataclass(frozen=True)
class Progress:
    """Work that is not training: `done` of `total` (None: unknown) `unit`s of `what`."""

    what: str
    done: int
    total: int | None
    unit: str = ""


@dataclass(frozen=True)
class Notice:
    """Something the user should know although the work goes on; ends up in `warnings` of the JSON
    document."""

    message: str
    code: str = "notice"


@dataclass(frozen=True)
class Note:
    """What was chosen for the user, who may choose otherwise: no warning. As it is in the result or
    in the run, too, no document has it in `warnings`."""

    message: str
    code: str


@dataclass(frozen=True)
class RunFinished:
    run: str
    status: str  # finished, interrupted, failed
    steps: int


@dataclass(frozen=True)
class ServerReady:
    """A server takes requests at `address`; `models` are the ids of those that were named."""

    address: str
    models: tuple[str, ...]
    adapted: int


Event = (
    RunStarted
    | StepDone
    | EvaluationDone
    | CheckpointSaved
    | Progress
    | Notice
    | Note
    | RunFinished
    | ServerReady
)
Reporter = Callable[[Event], None]


def report_findings(findings: Iterable[Finding], report: Reporter) -> None:
    """What was noticed while something was read."""
    for one in findings:
        where = "" if one.where is None else f" - {one.where}"
        report(Notice(f"{one.message}{where}", one.code))


def ignore(event: Event) -> None:
    """The default reporter: says nothing."""
