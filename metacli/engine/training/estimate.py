"""What a training takes of the machine: bounded before work starts, and measured for a dry run."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from contextlib import AbstractContextManager

from metacli.engine.events import Event, Progress, StepDone
from metacli.engine.machine import require_memory
from metacli.engine.results.train import Estimated
from metacli.engine.training.dropping import Dropping
from metacli.engine.training.loop import Pace, Snapshot
from metacli.engine.training.run_start import first_snapshot
from metacli.engine.training.runs import Hooks, Session, Start

COPIES = 4  # of the parameters: themselves, a gradient, and two of Adam
FLOAT = 4  # bytes
PATIENCE = 20.0  # seconds for the steps that are measured
MAKING = 300.0  # seconds for a program to be made
SOME = 3  # steps that are measured: the first one imports and compiles, too
QUICK = 5.0  # seconds of steps after which no further one is measured
HINT = "a smaller train.meta_batch, episodes.way, episodes.query or backbone"


def require_room(session: Session, start: Start) -> None:
    """Raises RunFailed where the data of one step and the parameters alone are more than what this
    machine has free."""
    parameters = sum(value.numel() for value in start.params.values())
    need = session.run.batch_bytes + COPIES * FLOAT * parameters
    require_memory(need, "a step of this recipe", HINT)


def estimated(session: Session) -> Estimated:
    """A few real steps, which nothing is kept of: their processor time, and the most memory
    that the process has had. A program that the first step makes is no part of a step, and is timed
    by itself.

    Raises:
        RunFailed: no room for a step.
    """
    start = session.run.start()
    require_room(session, start)
    begin, device = first_snapshot(session, start), session.workspace.device
    compiles = session.recipe.train.execution == "compiled"
    steps = Steps(compiles)
    if compiles:
        session.workspace.report(Progress("making the program", 0, 1))
    with Dropping(lambda: False, steps.are_late) as dropping:
        section: Callable[[Callable[[], Snapshot]], AbstractContextManager[None]]
        section = lambda now: dropping.section()  # noqa: E731
        hooks = Hooks(lambda snapshot: None, steps.are_enough, steps, Pace(droppable=section))
        session.run.train(begin, start.learned, device, hooks)
    to_go = session.recipe.train.steps - begin.step
    seconds = min(steps.plain, default=None)
    if seconds is None:  # no step was finished: all there is is what it took at least
        seconds = 0.0 if compiles else time.process_time() - steps.processor
    program = max(0.0, steps.first_took - seconds) if compiles else None
    return Estimated(peak_memory(), seconds * to_go / 60, seconds, bool(steps.plain), program)


class Steps:
    """A reporter that times steps, by the processor and by the clock.

    Args:
        compiles: the first step makes a program, for which there is more time.
    """

    def __init__(self, compiles: bool) -> None:
        self.compiles, self.first_took = compiles, 0.0
        self.processor, self.began = time.process_time(), time.monotonic()
        self.late = self.began + (MAKING if compiles else PATIENCE)
        self.spent: list[float] = []

    def __call__(self, event: Event) -> None:
        if not isinstance(event, StepDone):
            return
        now, clock = time.process_time(), time.monotonic()
        self.spent.append(now - self.processor)
        self.processor = now
        if len(self.spent) == 1:
            self.first_took = clock - self.began
            self.late = clock + PATIENCE if self.compiles else self.late

    @property
    def plain(self) -> list[float]:
        """The steps without the one that makes a program."""
        return self.spent[1:] if self.compiles else self.spent

    def are_late(self) -> bool:
        """Until the first step is done it has taken all of the time."""
        now = time.monotonic()
        if not self.spent:
            self.first_took = now - self.began
        return now > self.late

    def are_enough(self) -> bool:
        return len(self.spent) == SOME or sum(self.plain) > QUICK


def peak_memory() -> int:
    """Bytes that this process has had at most; 0 where the system does not say."""
    try:
        import resource  # not on Windows
    except ImportError:
        return 0
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else most * 1024
