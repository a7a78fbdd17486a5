"""The frame of every training run: its folder and lock, the loop with its journal and checkpoints,
signals, and what it says at the end. What differs between kinds of runs is in their `Run`."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import torch

from metacli.engine.events import Event, Reporter, RunStarted, StepDone
from metacli.engine.machine import is_out_of_memory
from metacli.engine.ranks.team import Team
from metacli.engine.results.train import SeedsResult, TrainResult
from metacli.engine.scoring.checks import Check, require_known
from metacli.engine.scoring.intervals import over_seeds
from metacli.engine.shards.shard import Shard
from metacli.engine.storage.lock import hold, is_held
from metacli.engine.storage.paths import RUNS, claim_folder, new_folder, require_device, target
from metacli.engine.storage.writer import sweep
from metacli.engine.training import journal
from metacli.engine.training.clock import Clock
from metacli.engine.training.dropping import Dropping, StepDropped
from metacli.engine.training.estimate import estimated, require_room
from metacli.engine.training.keeper import Keeper
from metacli.engine.training.kinds import make_run
from metacli.engine.training.loop import Pace, Snapshot
from metacli.engine.training.memory import keep_freed_memory
from metacli.engine.training.outcome import (
    Rescue,
    ended,
    failed,
    planned,
    rank_lost,
    record_failure,
    require_metrics,
    resume_command,
)
from metacli.engine.training.resume import start_or_restore, write_recipe
from metacli.engine.training.run_start import first_snapshot
from metacli.engine.training.runs import Hooks, Session, Start
from metacli.engine.training.signals import Control, watch
from metacli.engine.training.workspace import TrainOptions, Workspace
from metacli.errors import BundleError, RunFailed
from metacli.schema.load import Loaded


def carry_out(session: Session, checks: Sequence[Check], *, dry_run: bool) -> TrainResult:
    """Train and check, or say what would be trained."""
    metric = session.run.metric
    require_known(checks, (metric, f"val_{metric}"))
    if dry_run:
        session.run = session.run.foretell(session.workspace.report)
        return planned(session, estimated(session))
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
    run = make_run(loaded, device.type, report)
    run.check(loaded.name)
    run = run if options.team.size == 1 else run.divided(options.team)
    workspace = Workspace(
        name=loaded.name,
        header=loaded.header,
        folder=folder,
        device=device,
        report=report,
        max_time=options.max_time,
        named=out is not None,
        force=options.force,
        team=options.team,
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
    for name in ("state", "model", "baselines", "plots", "tensorboard"):
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
        workspace = session.workspace = led(workspace)
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


def led(workspace: Workspace) -> Workspace:
    """With the folder of rank 0, which every rank names where it has to say how to continue."""
    team = workspace.team
    if team.size == 1:
        return workspace
    name = team.bytes_of_first(os.fsencode(workspace.folder))
    return replace(workspace, leading=Path(os.fsdecode(name)))


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
    clock, team = Clock(session.history.seconds, limit), workspace.team
    control = Control(lambda: received() or team.heard, report)
    team.excused = lambda: control.stopped or clock.is_over()
    start = session.run.start()
    require_room(session, start)
    begin = first_snapshot(session, start)
    with Dropping(lambda: control.stopped, clock.is_over) as dropping:
        patient = partial(dropping.section, timed=False)
        ending = lambda: team.agree(control.received(), over=False)  # noqa: E731
        keeper = Keeper(session, log, report, clock.total, lambda: control.stopped, ending, patient)
        rescue = Rescue(keeper, control)
        describe(session, start, begin, report)
        keeper.catch_up(begin)

        def over() -> bool:
            if keeper.is_out_of_patience():
                session.stopped_by = "patience"
            elif team.leads and clock.is_over():  # the clock of rank 0 is everybody's
                session.stopped_by = "max_time"
            return team.agree(control.received(), session.stopped_by is not None)

        droppable = lambda now: dropping.section(lambda: rescue(now()))  # noqa: E731
        hooks = Hooks(keeper, over, report, Pace(partial(share_of, clock, team), droppable))
        final = begin
        try:
            if not keeper.is_out_of_patience():
                final = session.run.train(begin, start.learned, workspace.device, hooks)
            require_team(session, final.step)
            require_a_step(final, control)
        except RunFailed as error:
            record_failure(session, at, error)
            raise
        reached = session.reached(final.step)
        session.run.write_model(workspace, reached)
        if not control.stopped and team.leads:
            with suppress(StepDropped), patient():
                session.run = session.run.compared(workspace, reached, control)
    return ended(session, final.step, clock.total(), control)


def share_of(clock: Clock, team: Team) -> float:
    """Of the time limit that is spent; every rank's schedule follows the clock of rank 0."""
    return clock.share() if clock.limit is None else team.of_first(clock.share())


def require_team(session: Session, step: int) -> None:
    """Raises RunFailed where another process of the run is not there any more."""
    team = session.workspace.team
    if team.lost:
        saved = "progress saved" if team.leads else "the newest checkpoint of the run is kept"
        raise rank_lost(team.size, resume_command(session), f" at step {step}; {saved}")


def require_a_step(final: Snapshot, control: Control) -> None:
    """Raises RunFailed where the time was over before the first step was done."""
    if final.step == 0 and not control.stopped:
        raise RunFailed(
            "the first step takes longer than --max-time: nothing was trained",
            code="run.no_step",
            hint="a smaller train.meta_batch, or a longer --max-time",
        )


def describe(session: Session, start: Start, begin: Snapshot, report: Reporter) -> None:
    """Say what begins."""
    workspace, steps = session.workspace, session.recipe.train.steps
    details = {
        **session.run.details(),
        "parameters": sum(begin.params[n].numel() for n in start.network or start.learned),
        "device": str(workspace.device),
        "threads": torch.get_num_threads(),
    }
    report(RunStarted(str(workspace.folder), workspace.name, steps, begin.step, details))


def several(
    loaded: Loaded,
    seeds: int,
    checks: Sequence[Check],
    options: TrainOptions,
    report: Reporter,
    shard: Shard | None = None,
) -> SeedsResult:
    """One run per seed, and the mean over them; of a shard those of its seeds alone."""
    first, out = loaded.recipe.seed, options.out
    base = target(out, new_folder(RUNS / loaded.name), force=options.force)
    runs = []
    begin, end = (0, seeds) if shard is None else shard.of(seeds)
    for seed in range(first + begin, first + end):
        of_seed = replace(loaded, recipe=loaded.recipe.model_copy(update={"seed": seed}))
        folder = (
            base / f"seed-{seed}" if out is not None else base.with_name(f"{base.name}-seed{seed}")
        )
        session = open_session(of_seed, replace(options, out=str(folder)), report)
        runs.append(carry_out(session, (), dry_run=options.dry_run))
    combined = over_runs(runs)
    if not options.dry_run:
        require_metrics(combined.metrics, checks, combined.as_dict())
    return combined


def over_runs(runs: Sequence[TrainResult]) -> SeedsResult:
    """Runs of several seeds with the mean over them."""
    metrics = {}
    for name in runs[0].metrics:
        means = np.array([one.metrics[name]["mean"] for one in runs], float)
        metrics[name] = over_seeds(means).as_dict()
    return SeedsResult(tuple(runs), metrics)
