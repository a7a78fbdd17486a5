"""How a run ended: its result, what is recorded of it, and the bounds that it has to keep."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

from metacli.engine.events import RunFinished
from metacli.engine.results.base import Json
from metacli.engine.results.train import Estimated, Score, Status, TrainResult
from metacli.engine.scoring.checks import Check, require_checks
from metacli.engine.storage.writer import write_json
from metacli.engine.training import run_file
from metacli.engine.training.dropping import leaving
from metacli.engine.training.keeper import Keeper
from metacli.engine.training.loop import Snapshot
from metacli.engine.training.resume import FAILED
from metacli.engine.training.run_file import RunFacts
from metacli.engine.training.runs import Session
from metacli.engine.training.signals import Control
from metacli.errors import EnvironmentProblem, Interrupted, RunFailed
from metacli.schema.load import dump


def result_of(session: Session, status: Status, step: int | None = None) -> TrainResult:
    """What a run has come to; `step` where that is not the step of the newest checkpoint."""
    workspace, history = session.workspace, session.history
    comparison = session.run.comparison(workspace.folder)
    metrics: dict[str, Score] = {}
    if history.best:
        metrics[f"val_{session.run.metric}"] = history.best
    if comparison is not None and comparison.metrics is not None:
        metrics = {**comparison.metrics}
    return TrainResult(
        run=workspace.folder,
        model=workspace.model if workspace.model.is_dir() else None,
        status=status,
        steps=history.step if step is None else step,
        metrics=metrics,
        best_step=history.best_step,
        comparison=comparison,
        resume_command=resume_command(session),
        stopped_by=session.stopped_by,
        planned_steps=session.recipe.train.steps,
    )


def resume_command(session: Session) -> str:
    return f"metacli {session.run.verb} --resume {shlex.quote(str(session.workspace.shown))}"


def rank_lost(ranks: int, again: str | None, at: str = "") -> RunFailed:
    """The error of a run that one of its processes left."""
    return RunFailed(f"one of {ranks} processes ended{at}", code="run.rank_lost", hint=again)


def planned(session: Session, estimate: Estimated) -> TrainResult:
    """What a dry run says: everything was checked, nothing was written."""
    plan = dump(session.recipe, session.workspace.header)
    return replace(
        result_of(session, "planned", 0), plan=plan, resume_command=None, estimate=estimate
    )


def require_metrics(
    metrics: Mapping[str, Score], checks: Sequence[Check], result: dict[str, Json]
) -> None:
    """Raises CheckFailed where a bound that was asked for is missed."""
    values = {name: score["mean"] for name, score in metrics.items()}
    short = {name.removeprefix("val_"): value for name, value in values.items()}
    require_checks(checks, {**values, **short}, result)


def failed(session: Session, error: RunFailed) -> RunFailed:
    """The error with what the run has reached; run.json says so where the disk still takes it."""
    result, folder = result_of(session, "failed"), session.folder
    error.result = result.as_dict()
    with suppress(RunFailed, EnvironmentProblem):
        run_file.update(folder, RunFacts(status="failed", error=error.message))
    session.workspace.report(RunFinished(str(folder), "failed", result.steps))
    return error


def ended(session: Session, step: int, seconds: float, control: Control) -> TrainResult:
    """Record and report how a run ended. Raises Interrupted when a signal has ended it."""
    number, folder = control.received(), session.folder
    status: Status = "finished" if number is None else "interrupted"
    result = result_of(session, status, step)
    write_json(folder / "metrics.json", result.as_dict()["metrics"])
    facts = RunFacts(status=status, steps=step, seconds=round(seconds, 2), error=None)
    run_file.update(folder, facts)
    control.report(RunFinished(str(folder), status, step))
    if number is not None:
        raise interrupted(session, number, step)
    return result


@dataclass(frozen=True)
class Rescue:
    """What another thread does where the main one is in an operation that takes minutes: saves
    the state before the step, and ends the process if that is a command line's."""

    keeper: Keeper
    control: Control

    def __call__(self, before: Snapshot) -> None:
        session, number = self.keeper.session, self.control.received()
        if before.step != session.history.step:
            self.keeper.save(before)
        if not leaving:
            return
        status: Status = "failed" if number is None else "interrupted"
        message = f"step {before.step + 1} takes longer than --max-time allows"
        facts = RunFacts(status=status, steps=before.step)
        run_file.update(session.folder, facts)
        result = result_of(session, status, before.step)
        again = result.resume_command
        if number is None:
            leaving[0](RunFailed(message, code="run.no_step", hint=again, result=result.as_dict()))
        else:
            leaving[0](interrupted(session, number, before.step))


def interrupted(session: Session, number: int, step: int) -> Interrupted:
    """The error of a run that a signal ended."""
    result = result_of(session, "interrupted", step)
    return Interrupted(
        f"stopped (signal {number}) at step {step}; progress saved",
        number=number,
        hint=result.resume_command,
        result=result.as_dict(),
    )


def record_failure(session: Session, step: int, error: RunFailed) -> None:
    """Which step and episodes the loss was not finite on, so that it can be replayed."""
    if error.code != "run.not_finite":
        return
    size = session.recipe.train.meta_batch
    facts: dict[str, Json] = {
        "step": step + 1,
        "episodes": list(range(step * size, (step + 1) * size)),
        "seed": session.recipe.seed,
        "message": error.message,
        "last_checkpoint": session.history.step,
        "replay": resume_command(session),
    }
    write_json(session.workspace.state / FAILED, facts)
