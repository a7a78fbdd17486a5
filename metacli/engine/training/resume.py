"""Going on with a run: only where it is the same run, and from its newest valid state."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from metacli.engine.events import Notice, Reporter
from metacli.engine.storage.lock import LOCK
from metacli.engine.storage.paths import find_run_or_model, require_device
from metacli.engine.storage.serial import json_bytes
from metacli.engine.storage.writer import write_file
from metacli.engine.training import checkpoint, journal
from metacli.engine.training.few_shot_run import Job, data_facts, digest_of, make_job
from metacli.errors import BundleError, UsageProblem
from metacli.schema.load import dump, load
from metacli.schema.recipe import Recipe

FAILED = "failed.json"


def reopen(
    resume: str, overrides: Sequence[str], device: str, max_time: float | None, report: Reporter
) -> Job:
    """A run where it was left. Raises BundleError naming every difference that would change its
    numbers."""
    wrong = [text for text in overrides if not text.startswith("train.steps=")]
    if wrong:
        raise UsageProblem(
            f"--resume changes nothing but train.steps, found {wrong[0]!r}",
            hint=f"start anew: metacli meta-train {resume} {wrong[0]}",
        )
    run = find_run_or_model(resume)
    facts = run_facts(run, resume)
    loaded = load(str(run), overrides)
    require_more_steps(loaded.recipe.train.steps, facts)
    place = require_device(facts.get("device", device) if device == "auto" else device)
    job = make_job(loaded, facts.get("recipe", loaded.name), run, place, max_time, report)
    job.resumed = True
    differences = list(differing(facts, identity(job))) if facts else []
    if differences:
        raise BundleError(
            "not the same run: " + "; ".join(differences),
            code="run.changed",
            where=str(run),
            hint=f"start anew: metacli meta-train {resume}",
        )
    return job


def run_facts(run: Path, given: str) -> dict[str, Any]:
    """run.json; empty where a run was killed before it could write it. Raises BundleError."""
    if (run / "run.json").is_file():
        return journal.read_run(run)
    if (run / "recipe.yaml").is_file() and (run / LOCK).is_file():
        return {}
    raise BundleError(
        "not a run",
        code="run.not_found",
        where=given,
        hint="a run holds run.json; its model/ cannot be trained on",
    )


def threads_of(resume: str) -> int:
    """The number of threads that a run was begun with: it changes the order of sums, and so the
    parameters. `reopen` wants it to be set."""
    return int(run_facts(find_run_or_model(resume), resume).get("threads", torch.get_num_threads()))


def require_more_steps(steps: int, facts: Mapping[str, Any]) -> None:
    before = facts.get("settings", {}).get("train", {}).get("steps", 0)
    if steps < before:
        raise UsageProblem(f"train.steps may only be raised above {before}, found {steps}")


def identity(job: Job) -> dict[str, Any]:
    """What the numbers of a run depend on; recorded, and compared before it goes on."""
    settings = json.loads(json_bytes(job.recipe.plain()))
    chip = torch.cuda.get_device_name(job.device) if job.device.type == "cuda" else None
    return {
        "settings": settings,
        "versions": journal.versions(),
        "device": str(job.device),
        "chip": chip,
        "threads": torch.get_num_threads(),
        "data_digest": digest_of(job.train_source),
        "val_digest": digest_of(job.val_source),
    }


def differing(before: Any, now: Any, path: str = "") -> Iterator[str]:
    """What `now` has otherwise than `before`, one text for each key."""
    if isinstance(before, dict) and isinstance(now, dict):
        keys = list(now) if not path else [*now, *(key for key in before if key not in now)]
        for key in keys:
            name = f"{path}.{key}".removeprefix("settings.").removeprefix(".")
            if name != "train.steps":
                yield from differing(before.get(key), now.get(key), name if path else key)
    elif before != now:
        yield f"{path} was {before}, is {now}"


def start_or_restore(job: Job) -> None:
    """Put the run's folder and the job into the state to train from; under the run's lock."""
    if job.resumed:
        restore(job)
    facts = {
        "status": "running",
        "recipe": job.name,
        "command": journal.command_line(),
        "seed": job.recipe.seed,
        "commit": journal.commit(),
        "data": data_facts(job),
        **identity(job),
    }
    if job.begin is None:
        facts["started"] = journal.now()
    # The recipe first: with it alone a run that was killed here can be gone on with.
    write_file(job.run / "recipe.yaml", dump(job.recipe, job.header).encode())
    journal.update_run(job.run, **facts, **journal.host())


def restore(job: Job) -> None:
    """Read the newest valid checkpoint and cut the run's records back to it."""
    job.begin, troubles = checkpoint.newest(job.state, "step")
    step = 0
    if job.begin is not None:
        job.history, step = dict(job.begin.facts), job.begin.snapshot.step
    for trouble in troubles:
        message = f"a damaged checkpoint was passed over: {trouble}; going on from step {step}"
        job.report(Notice(message, "run.checkpoint_damaged"))
    for prefix in ("step", "best"):
        checkpoint.drop_after(job.state, prefix, step)
    restore_best(job)
    (job.state / FAILED).unlink(missing_ok=True)
    journal.cut_back(job.run, step, job.history.get("validated", 0))
    notice_schedule(job, step)


def restore_best(job: Job) -> None:
    """The best state that the history speaks of; an older one, or none, where it is damaged."""
    wanted = job.history.get("best_step")
    if job.begin is not None and job.begin.snapshot.step == wanted:
        job.best = job.begin
        return
    try:
        job.best, troubles = checkpoint.newest(job.state, "best")
    except BundleError as error:
        job.best, troubles = None, [error.message]
    for trouble in troubles:
        job.report(Notice(f"a damaged best state was passed over: {trouble}", "run.best_damaged"))
    found = job.best.snapshot.step if job.best is not None else None
    if found != wanted:
        facts = job.best.facts if job.best is not None else {}
        job.history |= {key: facts.get(key) for key in ("best_mean", "best_step", "best")}


def notice_schedule(job: Job, step: int) -> None:
    """Say so where raised steps stretch a schedule whose first part has been trained already."""
    recorded = journal.read_run(job.run) if (job.run / "run.json").is_file() else {}
    before = recorded.get("settings", {}).get("train", {}).get("steps")
    train = job.recipe.train
    if before and step and before != train.steps and depends_on_steps(job.recipe):
        job.report(
            Notice(
                f"the {train.schedule} schedule now ends at step {train.steps}; the first {step} "
                f"steps followed the one that ends at step {before}",
                "run.schedule_stretched",
            )
        )


def depends_on_steps(recipe: Recipe) -> bool:
    train = recipe.train
    stepwise = train.schedule == "step" and train.schedule_every is None
    return train.schedule in ("linear", "cosine") or stepwise
