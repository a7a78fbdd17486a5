"""Resuming a run: only where it is the same run, and from its newest valid state."""

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
from metacli.engine.training.history import History
from metacli.engine.training.kinds import make_run
from metacli.engine.training.place import Place, TrainOptions
from metacli.engine.training.runs import Run, Session
from metacli.errors import BundleError, UsageProblem
from metacli.schema.blocks import Train
from metacli.schema.load import dump, load

FAILED = "failed.json"


def reopen(
    resume: str, overrides: Sequence[str], options: TrainOptions, report: Reporter
) -> Session:
    """A run where it was left. Raises BundleError naming every difference that would change its
    results."""
    require_steps_alone(resume, overrides)
    folder = find_run_or_model(resume)
    facts = run_facts(folder, resume)
    loaded = load(str(folder), overrides)
    require_more_steps(loaded.recipe.train.steps, facts)
    device = facts.get("device", options.device) if options.device == "auto" else options.device
    chosen = require_device(device)
    name = facts.get("recipe", loaded.name)
    place = Place(*(name, loaded.header, folder, chosen, report, options.max_time), resumed=True)
    session = Session(make_run(loaded), place)
    differences = list(differing(facts, identity(session.run, chosen))) if facts else []
    if differences:
        raise BundleError(
            "not the same run: " + "; ".join(differences),
            code="run.changed",
            where=str(folder),
            hint=f"start again: metacli {session.run.verb} {resume}",
        )
    return session


def require_steps_alone(resume: str, overrides: Sequence[str]) -> None:
    """Raises UsageProblem for a setting that would make it another run."""
    wrong = [text for text in overrides if not text.startswith("train.steps=")]
    if wrong:
        raise UsageProblem(
            f"--resume changes nothing but train.steps, found {wrong[0]!r}",
            hint=f"start again: metacli meta-train {resume} {wrong[0]}",
        )


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


def identity(run: Run, device: torch.device) -> dict[str, Any]:
    """What the results of a run depend on; recorded, and compared before it is resumed."""
    settings = json.loads(json_bytes(run.recipe.plain()))
    chip = torch.cuda.get_device_name(device) if device.type == "cuda" else None
    data = run.data
    return {
        "settings": settings,
        "versions": journal.versions(),
        "device": str(device),
        "chip": chip,
        "threads": torch.get_num_threads(),
        "data_digest": data.train,
        "val_digest": data.val,
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


def start_or_restore(session: Session) -> None:
    """Put the run's folder and the session into the state to train from; under the run's lock."""
    place, run = session.place, session.run
    if place.resumed:
        restore(session)
    facts = {
        "status": "running",
        "recipe": place.name,
        "command": journal.command_line(),
        "seed": run.recipe.seed,
        "commit": journal.commit(),
        "data": {**run.data.shown},
        **identity(run, place.device),
    }
    if session.begin is None:
        facts["started"] = journal.now()
    # The recipe first: with it alone a run that was killed here can be resumed.
    write_file(place.folder / "recipe.yaml", dump(run.recipe, place.header).encode())
    journal.update_run(place.folder, **facts, **journal.host())


def restore(session: Session) -> None:
    """Read the newest valid checkpoint and cut the run's records back to it."""
    place = session.place
    session.begin, troubles = checkpoint.newest(place.state, "step")
    step = 0
    if session.begin is not None:
        session.history = History.of(session.begin.facts, session.begin.path)
        step = session.begin.snapshot.step
    for trouble in troubles:
        message = f"a damaged checkpoint was passed over: {trouble}; resuming from step {step}"
        place.report(Notice(message, "run.checkpoint_damaged"))
    for prefix in ("step", "best"):
        checkpoint.drop_after(place.state, prefix, step)
    restore_best(session)
    (place.state / FAILED).unlink(missing_ok=True)
    journal.cut_back(place.folder, step, session.history.validated)
    notice_schedule(session, step)


def restore_best(session: Session) -> None:
    """The best state that the history speaks of; an older one, or none, where it is damaged."""
    wanted, place = session.history.best_step, session.place
    if session.begin is not None and session.begin.snapshot.step == wanted:
        session.best = session.begin
        return
    try:
        session.best, troubles = checkpoint.newest(place.state, "best")
    except BundleError as error:
        session.best, troubles = None, [error.message]
    for trouble in troubles:
        message = f"a damaged best state was passed over: {trouble}"
        place.report(Notice(message, "run.best_damaged"))
    best = session.best
    if (best.snapshot.step if best is not None else None) != wanted:
        older = History() if best is None else History.of(best.facts, best.path)
        changes = {
            "best_mean": older.best_mean,
            "best_step": older.best_step,
            "best": older.best,
        }
        session.history = session.history.model_copy(update=changes)


def notice_schedule(session: Session, step: int) -> None:
    """Say so where raised steps stretch a schedule whose first part has been trained already."""
    folder, train = session.folder, session.recipe.train
    recorded = journal.read_run(folder) if (folder / "run.json").is_file() else {}
    before = recorded.get("settings", {}).get("train", {}).get("steps")
    if before and step and before != train.steps and depends_on_steps(train):
        session.place.report(
            Notice(
                f"the {train.schedule} schedule now ends at step {train.steps}; the first {step} "
                f"steps followed the one that ends at step {before}",
                "run.schedule_stretched",
            )
        )


def depends_on_steps(train: Train) -> bool:
    """Whether the learning rate of a step depends on how many there are."""
    stepwise = train.schedule == "step" and train.schedule_every is None
    return train.schedule in ("linear", "cosine") or stepwise
