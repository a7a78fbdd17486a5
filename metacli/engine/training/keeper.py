"""Validates and saves a run while it trains."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

from metacli.engine.events import CheckpointSaved, EvaluationDone, Progress, Reporter
from metacli.engine.scoring.intervals import Estimate
from metacli.engine.training import checkpoint
from metacli.engine.training.few_shot_run import Job
from metacli.engine.training.journal import Journal
from metacli.engine.training.loop import Snapshot
from metacli.nn.problem import Problem


class Stopped(Exception):
    """A signal came while validating."""


@dataclass
class Keeper:
    """Called by the loop every `evaluate.every` steps and at the end.

    A run that a signal ends is saved without a validation, which may take minutes and would be
    one that an uninterrupted run does not have; `catch_up` makes good what was due.
    """

    job: Job
    problem: Problem
    log: Journal
    report: Reporter
    seconds: Callable[[], float]
    interrupted: Callable[[], bool]

    def __call__(self, snapshot: Snapshot) -> None:
        if snapshot.step == self.job.history.get("step"):
            return  # a resumed run that had nothing left to do
        if not self.interrupted():
            self.validate(snapshot)
        self.save(snapshot)

    def catch_up(self, begin: Snapshot) -> None:
        """The validation of the step that the run goes on from, if it is due and was cut off."""
        recipe, history = self.job.recipe, self.job.history
        due = begin.step % recipe.evaluate.every == 0 or begin.step >= recipe.train.steps
        if begin.step and due and history.get("validated") != begin.step:
            self.validate(begin)
            self.save(begin)

    def validate(self, snapshot: Snapshot) -> None:
        """Score the snapshot and keep it if it is the best so far; not at all once a signal
        came."""
        try:
            estimate = self.estimate(snapshot)
        except Stopped:
            return
        job, before = self.job, self.job.history.get("best_mean")
        is_best = better(estimate.mean, before, self.problem.kind)
        shown = estimate.as_dict()
        history = {**job.history, "validated": snapshot.step, "last": shown}
        if is_best:
            history |= {"best_mean": estimate.mean, "best_step": snapshot.step, "best": shown}
        metrics = {self.problem.metric_name: shown}
        self.report(EvaluationDone(snapshot.step, "val", metrics, is_best))
        if is_best:
            kept = replace(snapshot, optimizer={})
            path = checkpoint.save(job.state, "best", kept, history)
            job.best = checkpoint.read(path)
        job.history = history

    def save(self, snapshot: Snapshot) -> None:
        """The history is that of what is on the disk: it changes once that is there."""
        job = self.job
        facts = {"step": snapshot.step, "seconds": self.seconds(), "window": self.log.window()}
        history = {**job.history, **facts}
        path = checkpoint.save(job.state, "step", snapshot, history)
        job.history = history
        self.report(CheckpointSaved(snapshot.step, str(path)))

    def estimate(self, snapshot: Snapshot) -> Estimate:
        job, total = self.job, self.job.recipe.evaluate.episodes

        def tick(done: int) -> None:
            self.report(Progress("validating", done, total, "episodes"))
            if self.interrupted():
                raise Stopped

        return job.estimate(snapshot, tick)


def better(mean: float, before: float | None, kind: str) -> bool:
    """Whether a validation beats the best before; the first one does, and any one beats NaN."""
    if before is None or not math.isfinite(before):
        return True
    return mean < before if kind == "regression" else mean > before
