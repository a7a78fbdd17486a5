"""Validates and saves a run while it trains."""

from __future__ import annotations

import math
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace

from metacli.engine.events import CheckpointSaved, EvaluationDone, Notice, Progress, Reporter
from metacli.engine.scoring.intervals import Estimate
from metacli.engine.training import checkpoint
from metacli.engine.training.dropping import StepDropped
from metacli.engine.training.history import CurvePoint, History
from metacli.engine.training.journal import Journal
from metacli.engine.training.loop import Snapshot
from metacli.engine.training.runs import Session, Validation

FEWEST = 5  # validations without a better one before that is worth a word


class Stopped(Exception):
    """A signal came while validating."""


@dataclass
class Keeper:
    """Called by the loop every `evaluate.every` steps and at the end.

    A run that a signal ends is saved without a validation, which may take minutes and would be
    one that an uninterrupted run does not have; `catch_up` makes good what was due.

    Args:
        interrupted: whether a signal came. ending: the same, agreed on by all processes.
        patient: the block of a validation, which a signal ends if it takes too long.
    """

    session: Session
    log: Journal
    report: Reporter
    seconds: Callable[[], float]
    interrupted: Callable[[], bool]
    ending: Callable[[], bool]
    patient: Callable[[], AbstractContextManager[None]] = nullcontext

    def __call__(self, snapshot: Snapshot) -> None:
        if snapshot.step == self.session.history.step:
            return  # a resumed run that had nothing left to do
        if not self.ending():
            self.validate(snapshot)
        self.save(snapshot)

    def catch_up(self, begin: Snapshot) -> None:
        """The validation of the step that the run is resumed from, if it is due and was cut
        off."""
        recipe, history = self.session.recipe, self.session.history
        due = begin.step % recipe.evaluate.every == 0 or begin.step >= recipe.train.steps
        if begin.step and due and history.validated != begin.step:
            self.validate(begin)
            self.save(begin)

    def validate(self, snapshot: Snapshot) -> None:
        """Score the snapshot and keep it if it is the best so far; not at all once a signal
        came."""
        session, run = self.session, self.session.run
        try:
            with self.patient():
                made = run.validate(snapshot, self.tick)
        except (Stopped, StepDropped):
            return
        mean = made.estimate.mean
        is_best = better(mean, session.history.best_mean, run.kind)
        history = remembered(session.history, snapshot.step, made, is_best)
        metrics = {run.metric: made.estimate.as_dict()}
        self.report(EvaluationDone(snapshot.step, "val", metrics, is_best))
        if is_best:
            kept = replace(snapshot, optimizer={})
            path = checkpoint.save(session.workspace.state, "best", kept, history.as_dict())
            session.best = checkpoint.read(path)
        session.history = history
        self.notice(made)

    def is_out_of_patience(self) -> bool:
        """Whether `train.patience` validations have brought nothing better."""
        patience = self.session.recipe.train.patience
        return patience is not None and self.session.history.waited >= patience

    def notice(self, made: Validation) -> None:
        """Report that training ends here, or that it continues although validation gets worse; once
        a run."""
        session, history = self.session, self.session.history
        since = f"no better validation since step {history.best_step}"
        if self.is_out_of_patience():
            message = f"{since}: ending after step {history.validated} (train.patience)"
            self.report(Notice(message, "run.patience"))
            return
        train = session.recipe.train
        planned = train.steps // session.recipe.evaluate.every
        if history.warned or history.waited < max(FEWEST, planned // 4):
            return
        if is_worse(made.estimate, history.best_mean, session.run.kind):
            best, mean = history.best_mean, made.estimate.mean
            message = (
                f"{since}: {session.run.metric} was {best:.4g} and is {mean:.4g}, with "
                f"{train.steps - history.validated} steps to go; the model is that of step "
                f"{history.best_step}. train.patience={history.waited} would have ended it here"
            )
            self.report(Notice(message, "run.worsening"))
            session.history = history.model_copy(update={"warned": True})

    def save(self, snapshot: Snapshot) -> None:
        """The history is that of what is on the disk: it changes once that is there."""
        session = self.session
        history = session.history.model_copy(
            update={
                "step": snapshot.step,
                "seconds": self.seconds(),
                "window": self.log.window(),
            }
        )
        path = checkpoint.save(session.workspace.state, "step", snapshot, history.as_dict())
        session.history = history
        self.report(CheckpointSaved(snapshot.step, str(path)))

    def tick(self, done: int) -> None:
        total = self.session.recipe.evaluate.episodes
        self.report(Progress("validating", done, total, "episodes"))
        if self.interrupted():
            raise Stopped


def remembered(history: History, step: int, made: Validation, is_best: bool) -> History:
    """The history with one more validation."""
    shown = made.estimate.as_dict()
    waited = 0 if is_best else history.waited + 1
    changes: dict[str, object] = {"validated": step, "last": shown, "waited": waited}
    if made.by_task:
        point = CurvePoint(step=step, values=list(made.by_task))
        changes["curves"] = [*history.curves, point]
    if is_best:
        changes |= {"best_mean": made.estimate.mean, "best_step": step, "best": shown}
    return history.model_copy(update=changes)


def is_worse(now: Estimate, best: float | None, kind: str) -> bool:
    """Whether a validation is worse than the best one by more than the interval of its own."""
    if best is None or not math.isfinite(now.ci95):
        return False
    return (now.mean - best if kind == "regression" else best - now.mean) > now.ci95


def better(mean: float, before: float | None, kind: str) -> bool:
    """Whether a validation beats the best before; the first one does, and any one beats NaN."""
    if before is None or not math.isfinite(before):
        return True
    return mean < before if kind == "regression" else mean > before
