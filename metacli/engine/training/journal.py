"""What a run writes about itself besides its checkpoints: metrics.jsonl and log.txt."""

from __future__ import annotations

import json
import math
import platform
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch

from metacli import __version__
from metacli.engine.events import EvaluationDone, Event, Note, Notice, StepDone
from metacli.engine.results.base import Json
from metacli.engine.storage.disk import writing
from metacli.engine.storage.writer import write_file
from metacli.engine.training.history import Window
from metacli.schema.recipe import Recipe

METRICS = "metrics.jsonl"
FINE = 128  # training lines per doubling of the steps


def versions() -> dict[str, str]:
    """What the results of a run depend on."""
    return {"metacli": __version__, "torch": torch.__version__, "python": platform.python_version()}


def now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


@dataclass
class Journal:
    """A reporter that appends to `metrics.jsonl`: training metrics averaged over windows, each
    validation as it is.

    Where windows end depends on the step alone, not on the length of the run or where it was
    interrupted: a resumed run, even one of more steps than planned, writes the same lines.
    """

    run: Path
    steps: int
    every: int
    sums: dict[str, float] = field(default_factory=dict)
    count: int = 0

    @classmethod
    def resumed(cls, run: Path, recipe: Recipe, window: Window) -> Journal:
        """One that takes up the window that a checkpoint was saved in."""
        train, every = recipe.train, recipe.evaluate.every
        sums = {name: math.nan if one is None else one for name, one in window.sums.items()}
        return cls(run, train.steps, every, sums, window.count)

    def window(self) -> Window:
        """The window that has not ended yet, for a checkpoint."""
        return Window(sums=dict(self.sums), count=self.count)

    def __call__(self, event: Event) -> None:
        if isinstance(event, StepDone):
            for name, value in event.metrics.items():
                self.sums[name] = self.sums.get(name, 0.0) + value
            self.count += 1
            if ends_window(event.step, self.every) or event.step == self.steps:
                self._flush(event.step)
        elif isinstance(event, EvaluationDone):
            line: dict[str, Json] = {"step": event.step, event.split: event.metrics}
            line["best"] = event.best
            self._append(METRICS, json_line(line))
        elif isinstance(event, Notice | Note):
            self._append("log.txt", f"{now()} {event.message}\n")

    def _flush(self, step: int) -> None:
        means = {name: value / self.count for name, value in self.sums.items()}
        self.sums, self.count = {}, 0
        self._append(METRICS, json_line({"step": step, "train": means}))

    def _append(self, name: str, text: str) -> None:
        path, data = self.run / name, text.encode("utf-8", "backslashreplace")
        with writing(path, len(data)), path.open("ab", buffering=0) as file:
            file.write(data)


def ends_window(step: int, every: int) -> bool:
    """Windows are 1 step long at first and double with the steps; each validation ends one."""
    length = 1 << (step // (2 * FINE)).bit_length()
    return step % length == 0 or step % every == 0


def json_line(value: Json) -> str:
    """One line; a number that is not finite is null."""
    return json.dumps(json.loads(json.dumps(value), parse_constant=lambda _: None)) + "\n"


def cut_back(run: Path, step: int, validated: int) -> None:
    """Drop the lines of `metrics.jsonl` after `step`, those of validations after `validated`, and
    a last line that a kill cut short."""
    path = run / METRICS
    if not path.is_file():
        return
    kept = []
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        try:
            value = json.loads(line)
            last = step if "train" in value else validated
            if value["step"] <= last:
                kept.append(line + "\n")
        except (ValueError, KeyError, TypeError):
            continue
    write_file(path, "".join(kept).encode())


def history(run: Path) -> Iterator[dict[str, Any]]:
    """The good lines of `metrics.jsonl`; a run that is going on may have half a line."""
    path = run / METRICS
    if not path.is_file():
        return
    with path.open(encoding="utf-8", errors="replace") as lines:
        for line in lines:
            try:
                value = json.loads(line)
            except ValueError:
                continue
            if isinstance(value, dict):
                yield value


def validated_metric(run: Path) -> str | None:
    """What validation measures; None where the run noted no validation, or cannot be read."""
    try:
        for line in history(run):
            if isinstance(found := line.get("val"), dict) and found:
                return str(next(iter(found)))
    except OSError:
        pass
    return None


def command_line() -> list[str]:
    return [Path(sys.argv[0]).name, *sys.argv[1:]] if sys.argv and sys.argv[0] else []


def commit() -> str | None:
    """The commit of the checkout that metacli runs from; None where it was installed."""
    folder = Path(__file__).resolve().parents[3] / ".git"
    try:
        head = (folder / "HEAD").read_text().strip()
        if not head.startswith("ref: "):
            return head
        name = head.removeprefix("ref: ")
        if (folder / name).is_file():
            return (folder / name).read_text().strip()
        packed = (folder / "packed-refs").read_text().splitlines()
    except OSError:
        return None
    return next((line.split()[0] for line in packed if line.endswith(f" {name}")), None)
