"""What a training takes of the machine: bounded before work starts, and measured for a dry run."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from contextlib import AbstractContextManager

from metacli.engine.events import ignore
from metacli.engine.machine import require_memory
from metacli.engine.results.train import Estimated
from metacli.engine.training.dropping import Dropping
from metacli.engine.training.loop import Pace, Snapshot
from metacli.engine.training.run_start import first_snapshot
from metacli.engine.training.runs import Hooks, Session, Start

COPIES = 4  # of the parameters: themselves, a gradient, and two of Adam
FLOAT = 4  # bytes
PATIENCE = 20.0  # seconds for the steps that are measured
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
    that the process has had.

    Raises:
        RunFailed: no room for a step.
    """
    start = session.run.start()
    require_room(session, start)
    begin, device = first_snapshot(session, start), session.workspace.device
    spent: list[float] = []
    clock, began = [time.process_time()], time.monotonic()

    def stop() -> bool:
        spent.append(time.process_time() - clock[0])
        clock[0] = time.process_time()
        return len(spent) == SOME or sum(spent) > QUICK

    with Dropping(lambda: False, lambda: time.monotonic() - began > PATIENCE) as dropping:
        section: Callable[[Callable[[], Snapshot]], AbstractContextManager[None]]
        section = lambda now: dropping.section()  # noqa: E731
        hooks = Hooks(lambda snapshot: None, stop, ignore, Pace(droppable=section))
        session.run.train(begin, start.learned, device, hooks)
    whole = bool(spent)
    seconds = min(spent) if whole else time.process_time() - clock[0]
    steps = session.recipe.train.steps - begin.step
    return Estimated(peak_memory(), seconds * steps / 60, seconds, whole)


def peak_memory() -> int:
    """Bytes that this process has had at most; 0 where the system does not say."""
    try:
        import resource  # not on Windows
    except ImportError:
        return 0
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else most * 1024
