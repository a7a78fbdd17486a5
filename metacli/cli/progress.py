"""Events on stderr: a live bar on a terminal, a plain line every 10 % or 30 s elsewhere."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from metacli.cli import text
from metacli.cli.streams import write_stderr
from metacli.engine.events import (
    CheckpointSaved,
    EvaluationDone,
    Event,
    Note,
    Notice,
    Progress,
    RunFinished,
    RunStarted,
    ServerReady,
    StepDone,
)

_SHARE, _SECONDS = 0.10, 30.0  # a plain line at least this often
_BAR = 20  # columns
_NOISE = 3.0  # work that is over within three seconds needs no progress line
_WINDOW = 20.0  # seconds that the rate is measured over: a slow start is soon forgotten


class View(Protocol):
    """What a frame shows while the engine works."""

    def __call__(self, event: Event) -> None: ...

    def close(self) -> None: ...


@dataclass
class Meter:
    """How far, how fast, how much longer. Times in seconds."""

    first: int
    started: float
    shown: int
    shown_at: float
    seen: int = 0  # the last `done`, shown or not
    marks: deque[tuple[float, int]] = field(default_factory=deque)  # (time, done), a second apart

    def mark(self, done: int, now: float) -> None:
        """Remember how far the work was, for the rate over the last steps."""
        self.seen = done
        if not self.marks:
            self.marks.append((self.started, self.first))
        if now - self.marks[-1][0] >= 1.0:
            self.marks.append((now, done))
        while len(self.marks) > 2 and now - self.marks[1][0] >= _WINDOW:
            self.marks.popleft()

    def tail(self, done: int, total: int | None, unit: str, now: float) -> str:
        """`60/600 steps (10 %), 12.3/s, 44 s left`."""
        of = f"/{total}" if total else ""
        share = f" ({100 * done // total} %)" if total else ""
        parts = [f"{done}{of} {text.visible(unit)}".rstrip() + share]
        since, before = self.marks[0] if self.marks else (self.started, self.first)
        elapsed, moved = now - since, done - before
        if elapsed > 0 and moved > 0:
            parts.append(f"{moved / elapsed:.3g}/s")
            if total and done < total:
                parts.append(f"{text.duration((total - done) * elapsed / moved)} left")
        return ", ".join(parts)


def sentence(event: Event, verbose: bool) -> str | None:
    """The events that stay on the screen as one line; None for those that only move a bar."""
    match event:
        case Notice(message=message):
            return f"warning: {text.visible(message)}"
        case Note(message=message):
            return f"note: {text.visible(message)}"
        case RunStarted():
            return _run_started(event)
        case ServerReady(address=address, models=models, adapted=adapted):
            names = ", ".join(map(text.visible, models))
            more = f" and {adapted} adapted models" if adapted else ""
            return f"serving   {names}{more} at {address}; Ctrl-C stops"
        case EvaluationDone(step=step, split=split, metrics=metrics, best=best):
            shown = ", ".join(f"{text.visible(k)} {_interval(k, v)}" for k, v in metrics.items())
            name = {"val": "validation"}.get(split, split)
            return f"step {step}: {text.visible(name)} {shown}{', best so far' if best else ''}"
        case CheckpointSaved(step=step, path=path) if verbose:
            return f"step {step}: saved {text.path(path)}"
        case RunFinished(status=status, steps=steps, run=run) if verbose:
            return f"{text.visible(status)} after {text.steps(steps)}: {text.path(run)}"
    return None


def _run_started(event: RunStarted) -> str:
    """Two aligned lines: what is trained where, then what with."""
    since = f" from step {event.first_step}" if event.first_step else ""
    head = f"training  {text.visible(event.recipe)}, {text.steps(event.steps)}{since}"
    shown = (f"{text.visible(name)} {text.inline(value)}" for name, value in event.details.items())
    lines = [f"{head}, in {text.path(event.run)}"]
    if event.details:
        lines.append(f"with      {', '.join(shown)}")
    return "\n".join(lines)


def _interval(metric: str, value: Mapping[str, float]) -> str:
    n = f" (n {value['n']:g})" if value.get("n") is not None else ""
    return text.score(metric, value.get("mean"), value.get("ci95")) + n


def _metrics(values: Mapping[str, float]) -> str:
    return "".join(f", {text.visible(name)} {text.number(v, 3)}" for name, v in values.items())


def fitted(tail: str, metrics: Mapping[str, float], room: int) -> str:
    """The tail with as many metrics behind it as there is room for; a cut number would mislead."""
    for count in range(len(metrics), 0, -1):
        line = tail + _metrics(dict(list(metrics.items())[:count]))
        if len(line) <= room:
            return line
    return tail


@dataclass
class Silent:
    """`-q`: only what the user has to know."""

    write: Callable[[str], None] = write_stderr

    def __call__(self, event: Event) -> None:
        if isinstance(event, Notice):
            self.write(f"{sentence(event, verbose=False)}\n")

    def close(self) -> None:
        """Nothing is open."""


@dataclass
class Plain:
    """Lines for a log file: no ANSI, no box, no cutting."""

    verbose: bool = False
    write: Callable[[str], None] = write_stderr
    clock: Callable[[], float] = time.monotonic
    meters: dict[str, Meter] = field(default_factory=dict)
    first_step: int = 0

    def __call__(self, event: Event) -> None:
        match event:
            case RunStarted(first_step=first):
                self.first_step = first
                self.meters["training"] = Meter(first, self.clock(), first, self.clock())
            case StepDone(step=step, steps=steps, metrics=metrics):
                self._advance("training", step, steps, "steps", _metrics(metrics), noise=0.0)
            case Progress(what=what, done=done, total=total, unit=unit):
                self._advance(what, done, total, unit, "", noise=_NOISE)
        line = sentence(event, self.verbose)
        if line:
            self.write(f"{line}\n")

    def close(self) -> None:
        """Nothing is open."""

    def _advance(
        self, what: str, done: int, total: int | None, unit: str, extra: str, noise: float
    ) -> None:
        now = self.clock()
        meter = self.meters.get(what)
        if meter is None or done < meter.seen:  # new work, or the same again from the start
            first = min(done, self.first_step) if noise == 0.0 else 0
            meter = self.meters[what] = Meter(first, now, first, now)
        meter.mark(done, now)
        late = now - meter.shown_at >= _SECONDS
        far = bool(total) and (done - meter.shown) >= _SHARE * (total or 0) > 0
        last = done == total and done > meter.shown
        if late or ((far or last) and now - meter.started >= noise):
            meter.shown, meter.shown_at = done, now
            self.write(f"{text.visible(what)} {meter.tail(done, total, unit, now)}{extra}\n")


class Bars:
    """A Rich bar per kind of work; lines that stay are printed above it."""

    def __init__(self, verbose: bool = False, clock: Callable[[], float] = time.monotonic) -> None:
        from rich import progress
        from rich.console import Console

        self.console = Console(stderr=True, markup=False, highlight=False, emoji=False)
        self.bars = progress.Progress(
            progress.TextColumn("{task.description}", markup=False),
            progress.BarColumn(bar_width=_BAR),
            progress.TextColumn("{task.fields[tail]}", markup=False),
            console=self.console,
            transient=True,
            redirect_stdout=False,  # the frame already keeps stdout clean
        )
        self.verbose, self.clock = verbose, clock
        self.meters: dict[str, tuple[Any, Meter]] = {}
        self.first_step = 0

    def __call__(self, event: Event) -> None:
        match event:
            case RunStarted(first_step=first):
                self.first_step = first
            case StepDone(step=step, steps=steps, metrics=metrics):
                self._advance("training", step, steps, "steps", metrics)
            case Progress(what=what, done=done, total=total, unit=unit):
                self._advance(what, done, total, unit, {})
        line = sentence(event, self.verbose)
        if line:
            style = "yellow" if isinstance(event, Notice) else None
            self.console.print(line, style=style, soft_wrap=True)

    def close(self) -> None:
        self.bars.stop()

    def _advance(
        self, what: str, done: int, total: int | None, unit: str, metrics: Mapping[str, float]
    ) -> None:
        self.bars.start()
        now = self.clock()
        if what not in self.meters or done < self.meters[what][1].shown:
            self._restart(what, done if what == "training" else 0, total, unit, now)
        task, meter = self.meters[what]
        meter.shown = done
        meter.mark(done, now)
        tail = meter.tail(done, total, unit, now)
        room = self.console.width - len(text.visible(what)) - _BAR - len("  ")
        self.bars.update(task, completed=done, total=total, tail=fitted(tail, metrics, room))

    def _restart(self, what: str, first: int, total: int | None, unit: str, now: float) -> None:
        for each in self.bars.tasks:  # only now: Rich erases a line too many when no bar is left
            # What counts the same things is the same work, whose words alone changed.
            same = each.fields["unit"] == unit and each.total == total
            if each.finished or same or each.id == self.meters.get(what, (None,))[0]:
                self.bars.update(each.id, visible=False)
        hidden = {each.id for each in self.bars.tasks if not each.visible}
        self.meters = {name: one for name, one in self.meters.items() if one[0] not in hidden}
        task = self.bars.add_task(text.visible(what), total=total, tail="", unit=unit)
        self.meters[what] = (task, Meter(first, now, first, now))
