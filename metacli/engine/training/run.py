"""The frame of every training run: its folder and lock, the loop with its journal and checkpoints,
signals, and what it says at the end. What differs between kinds of runs is in their `Job`."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from metacli.engine.events import Event, Reporter, RunFinished, RunStarted, StepDone
from metacli.engine.scoring.checks import Check, require_checks, require_known
from metacli.engine.scoring.intervals import over_seeds
from metacli.engine.storage.lock import hold, is_held
from metacli.engine.storage.paths import RUNS, claim_folder, new_folder, require_device, target
from metacli.engine.storage.writer import sweep, write_json
from metacli.engine.training import journal
from metacli.engine.training.few_shot_run import Job, make_job, result_of
from metacli.engine.training.keeper import Keeper
from metacli.engine.training.loop import Snapshot, train
from metacli.engine.training.memory import keep_freed_memory
from metacli.engine.training.resume import FAILED, start_or_restore
from metacli.engine.training.signals import watch
from metacli.errors import BundleError, EnvironmentProblem, Interrupted, RunFailed
from metacli.nn.problem import Problem
from metacli.schema.load import Loaded, dump
from metacli.types import Params


def go(job: Job, checks: Sequence[Check], dry_run: bool) -> dict[str, Any]:
    """Train and check, or say what would be trained."""
    metric = job.built.problem.metric_name
    require_known(checks, (metric, f"val_{metric}"))
    return planned(job) if dry_run else finish(run_job(job), checks)


def open_job(
    loaded: Loaded,
    out: str | None,
    force: bool,
    device: str,
    max_time: float | None,
    report: Reporter,
) -> Job:
    """Everything that can be wrong is found here; nothing has been written when it raises."""
    place = require_device(device)
    if out is not None and is_held(Path(out)):
        with hold(Path(out).absolute()):  # waits a little, then says who is at work there
            pass
    run = target(out, new_folder(RUNS / loaded.name), force=force)
    require_own(run)
    job = make_job(loaded, loaded.name, run, place, max_time, report)
    job.check()
    job.named, job.force = out is not None, force
    return job


def require_own(run: Path) -> None:
    """Raises BundleError for a folder with something in it that is not a run."""
    if not run.is_dir() or (run / "run.json").is_file() or (run / "recipe.yaml").is_file():
        return
    if any(not path.name.startswith((".lock", ".metacli-")) for path in run.iterdir()):
        raise BundleError(
            "the folder holds something that metacli did not write",
            code="output.exists",
            where=str(run),
            hint="give another -o",
        )


def clear_run(run: Path) -> None:
    """Remove what an earlier run wrote, and nothing else."""
    for name in ("state", "model", "baselines", "plots"):
        shutil.rmtree(run / name, ignore_errors=True)
    files = ("run.json", "metrics.jsonl", "metrics.json", "log.txt", "scores.jsonl", "recipe.yaml")
    for name in (*files, "tasks.json", "relatedness.json"):
        (run / name).unlink(missing_ok=True)


def run_job(job: Job) -> dict[str, Any]:
    """Train under the run's lock and write the model; the result of a finished run."""
    keep_freed_memory()
    with ExitStack() as stack:
        if not job.resumed and not job.named:
            job.run = claim_folder(job.run)
        stack.enter_context(hold(job.run))
        received = stack.enter_context(watch())
        for folder in (job.run, job.state):
            sweep(folder)
        if not job.resumed:
            # Once more, now that nobody else can write: another run may have been here meanwhile.
            clear_run(target(str(job.run), job.run, force=job.force))
        job.prepare(report=job.report)
        start_or_restore(job)
        try:
            return trained(job, received)
        except RunFailed as error:
            raise failed(job, error) from None
        except (MemoryError, RuntimeError) as error:
            if not is_out_of_memory(error):
                raise
            hint = "a smaller train.meta_batch, train.chunk or backbone.width"
            problem = RunFailed("out of memory", code="run.out_of_memory", hint=hint)
            raise failed(job, problem) from None


def is_out_of_memory(error: BaseException) -> bool:
    """torch has a class for it on a GPU, and only words on a CPU."""
    words = ("can't allocate memory", "not enough memory")
    known = isinstance(error, MemoryError | torch.OutOfMemoryError)
    return known or any(word in str(error) for word in words)


def failed(job: Job, error: RunFailed) -> RunFailed:
    """The error with what the run has reached; run.json says so where the disk still takes it."""
    error.result = result_of(job, "failed")
    with suppress(RunFailed, EnvironmentProblem):
        journal.update_run(job.run, status="failed", error=error.message)
    job.report(RunFinished(str(job.run), "failed", error.result["steps"]))
    return error


def trained(job: Job, received: Callable[[], int | None]) -> dict[str, Any]:
    """The training itself, its baselines, and the model at the end."""
    recipe, problem = job.recipe, job.built.problem
    log = journal.Journal.going_on(job.run, recipe, job.history.get("window"))
    at = 0 if job.begin is None else job.begin.snapshot.step

    def report(event: Event) -> None:
        nonlocal at
        log(event)
        job.report(event)
        at = event.step if isinstance(event, StepDone) else at

    started, before = time.monotonic(), float(job.history.get("seconds", 0.0))
    spent = lambda: time.monotonic() - started  # noqa: E731
    # Baselines take as many steps as the run does, and their time from the same limit.
    limit = None if job.max_time is None else job.max_time / (1 + len(recipe.baselines))
    begin, learned = first_snapshot(job, problem)
    stopped = lambda: received() is not None  # noqa: E731
    keeper = Keeper(job, problem, log, report, lambda: before + spent(), stopped)
    describe(job, begin, report)
    keeper.catch_up(begin)
    try:
        final = train(
            job.built.learner,
            problem,
            job.batch_at,
            recipe.train,
            begin,
            learned=learned,
            seed=recipe.seed,
            every=recipe.evaluate.every,
            visit=keeper,
            stop=lambda: stopped() or (limit is not None and spent() >= limit),
            report=report,
            elapsed_share=lambda: 0.0 if limit is None else min(1.0, spent() / limit),
        )
    except RunFailed as error:
        record_failure(job, at, error)
        raise
    job.write_model()
    if not stopped():
        job.train_baselines(final.step, received, report)
    return ended(job, final.step, received(), before + spent(), report)


def ended(
    job: Job, step: int, number: int | None, seconds: float, report: Reporter
) -> dict[str, Any]:
    """The last words of a run. Raises Interrupted when a signal has ended it."""
    status = "finished" if number is None else "interrupted"
    result = result_of(job, status, step)
    write_json(job.run / "metrics.json", result["metrics"])
    journal.update_run(job.run, status=status, steps=step, seconds=round(seconds, 2), error=None)
    report(RunFinished(str(job.run), status, step))
    if number is not None:
        raise Interrupted(
            f"stopped by signal {number} after step {step}; the state is saved",
            number=number,
            hint=result["resume_command"],
            result=result,
        )
    return result


def record_failure(job: Job, step: int, error: RunFailed) -> None:
    """Which step and episodes the loss was not finite on, so that it can be replayed."""
    if error.code != "run.not_finite":
        return
    size, saved = job.recipe.train.meta_batch, job.history.get("step", 0)
    facts = {
        "step": step + 1,
        "episodes": list(range(step * size, (step + 1) * size)),
        "seed": job.recipe.seed,
        "message": error.message,
        "last_checkpoint": saved,
        "replay": result_of(job, "failed")["resume_command"],
    }
    write_json(job.state / FAILED, facts)


def first_snapshot(job: Job, problem: Problem) -> tuple[Snapshot, frozenset[str]]:
    """Fresh parameters, or the ones to go on with; and the names that the optimiser sees."""
    params = job.fresh()
    own, state = job.built.learner.init(problem, params)
    learned = problem.trainable | frozenset(own)
    if job.begin is None:
        return Snapshot(0, on_device({**params, **own}, job.device), state, {}), learned
    saved = job.begin.snapshot
    # torch keeps an optimiser's step count on the CPU, whatever the device.
    counts = {name: value for name, value in saved.optimizer.items() if name.endswith("/step")}
    optimizer = {**on_device(saved.optimizer, job.device), **counts}
    return replace(saved, params=on_device(saved.params, job.device), optimizer=optimizer), learned


def on_device(values: Params, device: torch.device) -> Params:
    return {name: value.to(device) for name, value in values.items()}


def describe(job: Job, begin: Snapshot, report: Reporter) -> None:
    recipe = job.recipe
    details = {
        **job.details(),
        "parameters": sum(begin.params[k].numel() for k in job.built.problem.trainable),
        "device": str(job.device),
        "threads": torch.get_num_threads(),
    }
    report(RunStarted(str(job.run), job.name, recipe.train.steps, begin.step, details))


def planned(job: Job) -> dict[str, Any]:
    """What a dry run says: everything was checked, nothing was written."""
    return {
        **result_of(job, "planned", 0),
        "dry_run": True,
        "recipe": dump(job.recipe, job.header),
        "resume_command": None,
    }


def finish(result: dict[str, Any], checks: Sequence[Check]) -> dict[str, Any]:
    """The result, once the checks that were asked for have passed."""
    values = {name: score["mean"] for name, score in result["metrics"].items()}
    short = {name.removeprefix("val_"): value for name, value in values.items()}
    require_checks(checks, {**values, **short}, result)
    return result


def several(
    loaded: Loaded,
    seeds: int,
    checks: Sequence[Check],
    out: str | None,
    force: bool,
    device: str,
    max_time: float | None,
    dry_run: bool,
    report: Reporter,
) -> dict[str, Any]:
    """One run per seed, and the mean over them."""
    first = loaded.recipe.seed
    base = target(out, new_folder(RUNS / loaded.name), force=force)
    results = []
    for seed in range(first, first + seeds):
        mine = replace(loaded, recipe=loaded.recipe.model_copy(update={"seed": seed}))
        folder = (
            base / f"seed-{seed}" if out is not None else base.with_name(f"{base.name}-seed{seed}")
        )
        job = open_job(mine, str(folder), force, device, max_time, report)
        results.append(go(job, (), dry_run))
    metrics = {}
    for name in results[0]["metrics"]:
        means = np.array([one["metrics"][name]["mean"] for one in results], float)
        metrics[name] = over_seeds(means).as_dict()
    combined = {**results[0], "metrics": metrics, "runs": results, "seeds": seeds}
    return combined if dry_run else finish(combined, checks)
