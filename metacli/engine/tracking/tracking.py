"""From the names after `--track` to a reporter that records what a training says."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from difflib import get_close_matches
from pathlib import Path

import yaml

from metacli.engine.events import (
    EvaluationDone,
    Event,
    Reporter,
    RunFinished,
    RunStarted,
    StepDone,
)
from metacli.engine.extras import require_extra
from metacli.engine.tracking.mlflow import MLflowRun
from metacli.engine.tracking.tensorboard import TensorBoardRun
from metacli.engine.tracking.tracker import OpenTracker, Tracker
from metacli.errors import UsageProblem

TRACKERS: dict[str, OpenTracker] = {"tensorboard": TensorBoardRun, "mlflow": MLflowRun}


@contextmanager
def tracked(report: Reporter, names: Sequence[str]) -> Iterator[Reporter]:
    """A reporter that also records runs with these trackers; several runs one after the other.

    Raises:
        UsageProblem: a name that is not in `TRACKERS`.
        EnvironmentProblem: its package is not installed.
    """
    for name in names:
        if name not in TRACKERS:
            near = get_close_matches(name, TRACKERS, 1)
            hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(TRACKERS)}"
            raise UsageProblem("no such tracker", where=name, hint=hint)
        require_extra(name, f"--track {name}")
    if not names:
        yield report
        return
    recorder = Recorder(report, tuple(dict.fromkeys(names)))
    try:
        yield recorder
    finally:
        recorder.close("failed")  # whatever is still open when training ends with an error


class Recorder:
    """The reporter: hands on every event, and its numbers to the trackers."""

    def __init__(self, report: Reporter, names: Sequence[str]) -> None:
        self._report, self._names = report, names
        self._open: list[Tracker] = []

    def __call__(self, event: Event) -> None:
        self._report(event)
        match event:
            case RunStarted():
                self.close("finished")
                settings = settings_of(Path(event.run))
                self._open = [TRACKERS[name](event, settings) for name in self._names]
            case StepDone(step=step, metrics=metrics):
                self._scalars({f"train/{name}": value for name, value in metrics.items()}, step)
            case EvaluationDone(step=step, split=split, metrics=metrics):
                means = {f"{split}/{name}": score["mean"] for name, score in metrics.items()}
                self._scalars(means, step)
            case RunFinished(status=status):
                self.close(status)

    def _scalars(self, values: Mapping[str, float], step: int) -> None:
        for tracker in self._open:
            tracker.scalars(values, step)

    def close(self, status: str) -> None:
        for tracker in self._open:
            tracker.close(status)
        self._open = []


def settings_of(folder: Path) -> dict[str, str]:
    """The run's own recipe, by dotted name."""
    return dict(_flat("", yaml.safe_load((folder / "recipe.yaml").read_text("utf-8"))))


def _flat(prefix: str, value: object) -> Iterator[tuple[str, str]]:
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _flat(f"{prefix}.{key}" if prefix else str(key), inner)
    elif value is not None:
        yield prefix, str(value)
