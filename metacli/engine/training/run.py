"""The frame of every training run: its folder and lock, the loop with its journal and checkpoints,
signals, and what it says at the end. What differs between kinds of runs is in their `Run`."""

from __future__ import annotations

import shlex
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import torch

from metacli.engine.events import Event, Reporter, RunFinished, RunStarted, StepDone
from metacli.engine.results.base import Json
from metacli.engine.results.train import Score, SeedsResult, Status, TrainResult
from metacli.engine.scoring.checks import Check, require_checks, require_known
from metacli.engine.scoring.intervals import over_seeds
from metacli.engine.storage.lock import hold, is_held
from metacli.engine.storage.paths import RUNS, claim_folder, new_folder, require_device, target
from metacli.engine.storage.writer import sweep, write_json
from metacli.engine.training import journal, run_file
from metacli.engine.training.keeper import Keeper
from metacli.engine.training.kinds import make_run
from metacli.engine.training.loop import Snapshot
from metacli.engine.training.memory import keep_freed_memory
from metacli.engine.training.resume import FAILED, start_or_restore, write_recipe
from metacli.engine.training.run_file import RunFacts
from metacli.engine.training.runs import Hooks, Session, Start
from metacli.engine.training.signals import Control, watch
from metacli.engine.training.workspace import TrainOptions, Workspace
from metacli.errors import BundleError, EnvironmentProblem, Interrupted, RunFailed
from metacli.schema.load import Loaded, dump
from metacli.types import Params


def carry_out(session: Session, checks: Sequence[Check], *, dry_run: bool) -> TrainResult:
    """Train and check, or say what would be trained."""
    metric = session.run.metric
    require_known(checks, (metric, f"val_{metric}"))
    if dry_run:
        return planned(session)
    result = train_session(session)
    require_metrics(result.metrics, checks, result.as_dict())
    return result


def open_session(loaded: Loaded, options: TrainOptions, report: Reporter) -> Session:
    """Everything that can be wrong is found here; nothing has been written when it raises."""
    device, out = require_device(options.device), options.out
    if out is not None and is_held(Path(out)):
        with hold(Path(out).absolute()):  # waits a little, then says who is at work there
            pass
    folder = target(out, new_folder(RUNS / loaded.name), force=options.force)
    require_own(folder)
    run = make_run(loaded)
    run.check(loaded.name)
    workspace = Workspace(
        name=loaded.name,
        header=loaded.header,
        folder=folder,
        device=device,
        report=report,
        max_time=options.max_time,
        named=out is not None,
        force=options.force,
    )
    return Session(run, workspace)


def require_own(folder: Path) -> None:
    """Raises BundleError for a folder with something in it that is not a run."""
    known = ("run.json", "recipe.yaml")
    if not folder.is_dir() or any((folder / name).is_file() for name in known):
        return
    if any(not path.name.startswith((".lock", ".metacli-")) for path in folder.iterdir()):
        raise BundleError(
            "the folder holds something that metacli did not write",
            code="output.exists",
            where=str(folder),
            hint="give another -o",
        )


def clear_run(folder: Path) -> None:
    """Remove what an earlier run wrote, and nothing else."""
    for name in ("state", "model", "baselines", "plots"):
        shutil.rmtree(folder / name, ignore_errors=True)
    files = ("run.json", "metrics.jsonl", "metrics.json", "log.txt", "scores.jsonl", "recipe.yaml")
    for name in (*files, "tasks.json", "relatedness.json"):
        (folder / name).unlink(missing_ok=True)


def train_session(session: Session) -> TrainResult:
    """Train under the run's lock and write the model; the result of a finished run."""
    keep_freed_memory()
    with ExitStack() as stack:
        workspace = session.workspace
        if not workspace.resumed and not workspace.named:
            workspace = session.workspace = replace(
                workspace, folder=claim_folder(workspace.folder)
            )
        stack.enter_context(hold(workspace.folder))
        received = stack.enter_context(watch())
        for folder in (workspace.folder, workspace.state):
            sweep(folder)
        if not workspace.resumed:
            # Once more, now that nobody else can write: another run may have been here meanwhile.
            clear_run(target(str(workspace.folder), workspace.folder, force=workspace.force))
            write_recipe(session)
        session.run = session.run.prepared(workspace)
        start_or_restore(session)
        try:
            return trained(session, received)
        except RunFailed as error:
            raise failed(session, error) from None
        except (MemoryError, RuntimeError) as error:
            if not is_out_of_memory(error):
                raise
            hint = "a smaller train.meta_batch, train.chunk or backbone.width"
            problem = RunFailed("out of memory", code="run.out_of_memory", hint=hint)
            raise failed(session, problem) from None


def is_out_of_memory(error: BaseException) -> bool:
    """torch has a class for it on a GPU, and only words on a CPU."""
    words = ("can't allocate memory", "not enough memory")
    known = isinstance(error, MemoryError | torch.OutOfMemoryError)
    return known or any(word in str(error) for word in words)


def failed(session: Session, error: RunFailed) -> RunFailed:
    """The error with what the run has reached; run.json says so where the disk still takes it."""
    result, folder = result_of(session, "failed"), session.folder
    error.result = result.as_dict()
    with suppress(RunFailed, EnvironmentProblem):
        run_file.update(folder, RunFacts(status="failed", error=error.message))
    session.workspace.report(RunFinished(str(folder), "failed", result.steps))
    return error


@dataclass
class Clock:
    """The training time of a run.

    Args:
        before: seconds of it that were spent before it was resumed.
        limit: seconds that may be spent; None without a limit.
    """

    before: float
    limit: float | None
    started: float = field(default_factory=time.monotonic)

    def spent(self) -> float:
        return time.monotonic() - self.started

    def total(self) -> float:
        return self.before + self.spent()

    def is_over(self) -> bool:
        return self.limit is not None and self.spent() >= self.limit

    def share(self) -> float:
        """Of the limit that is spent, 0..1; 0 without one."""
        return 0.0 if self.limit is None else min(1.0, self.spent() / self.limit)


def trained(session: Session, received: Callable[[], int | None]) -> TrainResult:
    """The training itself, its baselines, and the model at the end."""
    workspace, recipe = session.workspace, session.recipe
    log = journal.Journal.resumed(workspace.folder, recipe, session.history.window)
    at = 0 if session.begin is None else session.begin.snapshot.step

    def report(event: Event) -> None:
        nonlocal at
        log(event)
        workspace.report(event)
        at = event.step if isinstance(event, StepDone) else at

    # Baselines take as many steps as the run does, and their time from the same limit.
    limit = None if workspace.max_time is None else workspace.max_time / (1 + len(recipe.baselines))
    clock, control = Clock(session.history.seconds, limit), Control(received, report)
    start = session.run.start()
    begin = first_snapshot(session, start)
    keeper = Keeper(session, log, report, clock.total, lambda: control.stopped)
    describe(session, start, begin, report)
    keeper.catch_up(begin)
    over = lambda: control.stopped or clock.is_over() or keeper.is_out_of_patience()  # noqa: E731
    hooks = Hooks(keeper, over, report, clock.share)
    final = begin
    try:
        if not keeper.is_out_of_patience():
            final = session.run.train(begin, start.learned, workspace.device, hooks)
    except RunFailed as error:
        record_failure(session, at, error)
        raise
    reached = session.reached(final.step)
    session.run.write_model(workspace, reached)
    if not control.stopped:
        session.run = session.run.compared(workspace, reached, control)
    return ended(session, final.step, clock.total(), control)


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
        raise Interrupted(
            f"stopped (signal {number}) at step {step}; progress saved",
            number=number,
            hint=result.resume_command,
            result=result.as_dict(),
        )
    return result


def record_failure(session: Session, step: int, error: RunFailed) -> None:
    """Which step and episodes the loss was not finite on, so that it can be replayed."""
    if error.code != "run.not_finite":
        return
    size = session.recipe.train.meta_batch
    facts = {
        "step": step + 1,
        "episodes": list(range(step * size, (step + 1) * size)),
        "seed": session.recipe.seed,
        "message": error.message,
        "last_checkpoint": session.history.step,
        "replay": resume_command(session),
    }
    write_json(session.workspace.state / FAILED, facts)


def first_snapshot(session: Session, start: Start) -> Snapshot:
    """Fresh parameters, or the ones to resume from, on the run's device."""
    device = session.workspace.device
    if session.begin is None:
        return Snapshot(0, on_device(start.params, device), start.state, {})
    saved = session.begin.snapshot
    # torch keeps an optimiser's step count on the CPU, whatever the device.
    counts = {name: value for name, value in saved.optimizer.items() if name.endswith("/step")}
    optimizer = {**on_device(saved.optimizer, device), **counts}
    return replace(saved, params=on_device(saved.params, device), optimizer=optimizer)


def on_device(values: Params, device: torch.device) -> Params:
    return {name: value.to(device) for name, value in values.items()}


def describe(session: Session, start: Start, begin: Snapshot, report: Reporter) -> None:
    """Say what begins."""
    workspace, steps = session.workspace, session.recipe.train.steps
    details = {
        **session.run.details(),
        "parameters": sum(begin.params[name].numel() for name in start.network),
        "device": str(workspace.device),
        "threads": torch.get_num_threads(),
    }
    report(RunStarted(str(workspace.folder), workspace.name, steps, begin.step, details))


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
    )


def resume_command(session: Session) -> str:
    return f"metacli {session.run.verb} --resume {shlex.quote(str(session.folder))}"


def planned(session: Session) -> TrainResult:
    """What a dry run says: everything was checked, nothing was written."""
    plan = dump(session.recipe, session.workspace.header)
    return replace(result_of(session, "planned", 0), plan=plan, resume_command=None)


def require_metrics(
    metrics: Mapping[str, Score], checks: Sequence[Check], result: dict[str, Json]
) -> None:
    """Raises CheckFailed where a bound that was asked for is missed."""
    values = {name: score["mean"] for name, score in metrics.items()}
    short = {name.removeprefix("val_"): value for name, value in values.items()}
    require_checks(checks, {**values, **short}, result)


def several(
    loaded: Loaded,
    seeds: int,
    checks: Sequence[Check],
    options: TrainOptions,
    report: Reporter,
) -> SeedsResult:
    """One run per seed, and the mean over them."""
    first, out = loaded.recipe.seed, options.out
    base = target(out, new_folder(RUNS / loaded.name), force=options.force)
    runs = []
    for seed in range(first, first + seeds):
        of_seed = replace(loaded, recipe=loaded.recipe.model_copy(update={"seed": seed}))
        folder = (
            base / f"seed-{seed}" if out is not None else base.with_name(f"{base.name}-seed{seed}")
        )
        session = open_session(of_seed, replace(options, out=str(folder)), report)
        runs.append(carry_out(session, (), dry_run=options.dry_run))
    metrics = {}
    for name in runs[0].metrics:
        means = np.array([one.metrics[name]["mean"] for one in runs], float)
        metrics[name] = over_seeds(means).as_dict()
    combined = SeedsResult(tuple(runs), metrics)
    if not options.dry_run:
        require_metrics(metrics, checks, combined.as_dict())
    return combined
